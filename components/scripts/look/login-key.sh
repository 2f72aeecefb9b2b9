#!/bin/sh
# What a look tells of the part login-key, behind its script.

present() {
  paths
  read_keys
  printf %s "$content" | grep -q " $ID\$"
}

check() {
  paths
  line_before=$(kept line)
  what_keeps_out "$line_before"
  if [ -d "$home" ]; then
    read_keys
    printf %s "${content%x}" | line_drift "$line_before" "$keys_file"
  fi
}
