//go:build tools

// Package tools pins the Kubo node that the storage tests run against.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs/kubo"
