package api

import "maps"

// light is an object as decode needs it: without who has written which of its
// fields, which takes longer to read than all the rest. It shares what is below
// metadata and the other parts.
func light(object map[string]any) map[string]any {
	object = maps.Clone(object)
	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		delete(metadata, "managedFields")
		object["metadata"] = metadata
	}
	return object
}

// takeNumbers takes the list of identities out of a part of a light object: a
// large cluster has a hundred thousand of these numbers, and decode is slow with
// lists. What is no list of numbers stays, for decode to refuse.
func takeNumbers(object map[string]any, part string) []int64 {
	const name = "identities"
	fields, _ := object[part].(map[string]any)
	list, ok := fields[name].([]any)
	if !ok {
		return nil
	}
	numbers := make([]int64, len(list))
	for n, value := range list {
		if numbers[n], ok = value.(int64); !ok {
			return nil
		}
	}
	fields = maps.Clone(fields)
	delete(fields, name)
	object[part] = fields
	return numbers
}
