package compile

import "slices"

var _ = func() {
	users.Copy(ctx, slices.Values([]order{})) // want: cannot use slices.Values
}
