#!/bin/sh
# What a look tells of the part ssh-tunnel, behind its script.

present() {
  paths
  [ -e $unit_file ]
}

check() {
  paths
  unit_drift
}
