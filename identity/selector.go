package identity

// Operator is how a Requirement compares, as in the API's
// LabelSelectorRequirement.
type Operator string

// The operators that NetworkPolicy selectors know.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// Requirement is one condition on one label key.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string // In and NotIn: at least one; else none
}

// Selector matches labels that meet all requirements; without any it matches
// everything.
type Selector struct {
	Requirements []Requirement
}
