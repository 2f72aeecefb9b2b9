#!/bin/sh
# What a look tells of the part login-key, behind its script.

present() {
  paths
  read_keys
  printf %s "$content" | grep -q " $ID\$"
}

check() {
  paths
  LINE=$(kept line)
  what_keeps_out
  if [ -d "$home" ]; then
    read_keys
    printf %s "${content%x}" | line_drift "$keys_file"
  fi
}
