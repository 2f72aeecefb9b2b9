#!/bin/sh
# What a look tells of the part scrape-config, behind its script.

present() {
  paths
  [ -e $F ]
}

check() { :; }
