// Ory Hydra as its module has it: its own main package cannot be installed by name, because its go.mod
// replaces modules, which Go allows in the main module only. So this is the main module.
package main

import (
	"github.com/ory/hydra/v2/cmd"
	"github.com/ory/x/profilex"
)

func main() {
	defer profilex.Profile().Stop()
	cmd.Execute()
}
