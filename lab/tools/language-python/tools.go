//go:build tools

// Package tools names what the lab builds, so that go.mod and go.sum pin it and all it needs.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
