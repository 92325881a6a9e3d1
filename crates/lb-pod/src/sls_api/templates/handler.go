package kubeless

import "github.com/kubeless/kubeless/pkg/functions"

// Hello answers what it is sent.
func Hello(event functions.Event, context functions.Context) (string, error) {
	return event.Data, nil
}
