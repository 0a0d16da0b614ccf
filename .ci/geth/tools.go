//go:build tools

// Package tools pins the geth that the chain tests run against.
package tools

import _ "github.com/ethereum/go-ethereum/cmd/geth"
