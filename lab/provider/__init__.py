"""A stand-in for the Pulumi command plugin, for machines that cannot download the official one.

It speaks Pulumi's provider protocol and does for `command:remote:Command` and `command:local:Command` what
pulumi-command 1.2.1 does; `tests/contract` holds both to the same facts. It deliberately leaves out `CopyToRemote`,
`CopyFile`, the function `local.run`, and the assets and archives of `local.Command`: it refuses them by name.
"""
