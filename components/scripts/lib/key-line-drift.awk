# Says what is wrong with our line among those of an authorized_keys file.
#
# Prints a line for each thing that is wrong; nothing where our line stands there once, and our key
# in no other line without limits.
#
# Needs (-v)
#   line   ours, as it should be
#   name   our line's last word, by which it is known however it looks
#   key    our line's key
#   file   for the words

$0 == line {
  times++
  next
}

$NF == name {
  is_changed = 1
  if (index($0, key) && !/^restrict,/) is_changed_without_limits = 1
  next
}

# Lines of other stacks may hold the same key; they have limits of their own.
index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/ { key_is_loose = 1 }

END {
  # Beside our line a second one of its name is another line with our key.
  if (times && is_changed_without_limits) key_is_loose = 1
  else if (is_changed) print "the line of the key in " file " was changed"
  else if (!times) print "the line of the key in " file " is missing"
  if (times > 1) print "the line of the key in " file " stands there " times " times"
  if (key_is_loose) {
    print "the key is not alone in " file \
      ": it stands there in another line too, without its limits"
  }
}
