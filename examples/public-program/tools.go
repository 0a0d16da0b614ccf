//go:build tools

// Package tools keeps the program's command among the dependencies of this module.
package tools

import _ "github.com/itchyny/gojq/cmd/gojq"
