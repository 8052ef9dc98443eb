package nodefacts

import (
	"encoding/json"
	"fmt"

	"github.com/google/nftables"
)

// maxRules is how many rules of one chain are kept: kube-proxy may write very
// many.
const maxRules = 200

// filter lists nftables: tables, chains, and rules as their expressions.
func (f *Facts) filter() {
	conn, err := nftables.New()
	if err != nil {
		f.miss("nftables", err)
		return
	}
	chains, err := conn.ListChains()
	f.miss("nftables", err)
	for _, chain := range chains {
		hook := ""
		if chain.Hooknum != nil && chain.Priority != nil {
			hook = fmt.Sprintf(" type %s hook %d priority %d", chain.Type, *chain.Hooknum, *chain.Priority)
		}
		rules, err := conn.GetRules(chain.Table, chain)
		f.miss("nftables chain "+chain.Name, err)
		f.Filter = append(f.Filter, fmt.Sprintf("family %d table %s chain %s%s: %d rules", chain.Table.Family, chain.Table.Name, chain.Name, hook, len(rules)))
		for _, rule := range rules[:min(len(rules), maxRules)] {
			text := ""
			for _, e := range rule.Exprs {
				expression, err := json.Marshal(e)
				f.miss("nftables rule", err)
				text += fmt.Sprintf(" %T%s", e, expression)
			}
			f.Filter = append(f.Filter, fmt.Sprintf("  rule %d:%s", rule.Handle, text))
		}
	}
}
