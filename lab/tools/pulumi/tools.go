//go:build tools

// Package tools names what the lab builds, so that go.mod and go.sum pin it and all it needs.
package tools

import (
	_ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
	_ "github.com/pulumi/pulumi/sdk/v3/go/common/version" // its module also holds pulumi-language-python-exec
)
