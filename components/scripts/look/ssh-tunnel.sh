#!/bin/sh
# What a look tells of the part ssh-tunnel, behind its script.

present() {
  paths
  [ -e $F ]
}

check() {
  paths
  unit_drift
}
