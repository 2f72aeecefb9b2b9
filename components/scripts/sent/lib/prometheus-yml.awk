
BEGIN {
  job = ENVIRON["JOB"]
  key = "scrape_configs:"
  any_first_mark = "^ *# BEGIN metrics-tunnel-"
  any_last_mark = "^ *# END metrics-tunnel-"
}

{ line[NR] = $0 }

END {
  count = NR
  line[count] = substr(line[count], 1, length(line[count]) - 1)
  find_block()
  if (action == "shown") {
    print_block()
    exit
  }
  refuse_utf_16()
  refuse_damaged()
  if (first) take_out()
  if (action != "removed") put_in()
  print_file()
}

function print_file(   i) {
  for (i = 1; i < count; i++) print line[i]
  printf "%s", line[count]
}

function print_block(   i) {
  for (i = first; first && i <= last; i++) print line[i]
}

function refuse(reason) {
  print reason
  exit 1
}


function find_block(   i) {
  first = last = first_marks = 0
  for (i = 1; i <= count; i++) {
    if (is_first_mark(line[i])) {
      first_marks++
      if (!first) first = i
    }
    if (is_last_mark(line[i]) && first && !last) last = i
  }
}

function is_first_mark(text) {
  text = trimmed(text)
  return text == "# BEGIN " job || text == "# BEGIN " job " joined"
}

function is_last_mark(text) { return trimmed(text) == "# END " job }

function is_joined(first_mark) { return first_mark ~ / joined[ \t\r]*$/ }

function refuse_damaged(   i) {
  if (first_marks > 1 || (first && !last)) {
    refuse("the marks of " job " are damaged; delete its block")
  }
  for (i = 1; i <= count && !first; i++) {
    if (is_our_job(line[i])) refuse("the job " job " has lost its marks; delete that job")
  }
}

function is_our_job(text) {
  sub(/^[ \t]*-/, "", text)
  text = trimmed(text)
  gsub(/["']/, "", text)
  return text == "job_name: " job
}

function take_out(   key_line, joined) {
  key_line = line_of_key()
  joined = is_joined(line[first])
  if (another_block_follows()) {
    if (joined) mark_joined(last + 1)
    if (key_line) give_key_to_next_block(key_line)
  } else if (key_line && items_follow()) {
    line[last] = line[key_line]
    last--
  } else if (joined && last + 1 == count && line[count] == "") {
    last = count
  }
  remove_lines(first, last)
}

function line_of_key(   i, found) {
  found = 0
  for (i = first; i <= last; i++) if (trimmed(line[i]) == key) found = i
  return found
}

function another_block_follows() { return last < count && line[last + 1] ~ any_first_mark }

function mark_joined(number) {
  if (!is_joined(line[number])) line[number] = line[number] " joined"
}

function give_key_to_next_block(key_line) {
  line[last] = line[last + 1]
  line[last + 1] = line[key_line]
  last--
}

function items_follow(   i) {
  i = next_that_says_something(last, count + 1)
  return i <= count && is_item(line[i])
}

function remove_lines(from, to,   i, removed) {
  removed = to - from + 1
  for (i = to + 1; i <= count; i++) line[i - removed] = line[i]
  count -= removed
}


function put_in(   i, item, items, mark) {
  find_place()
  mark = "# BEGIN " job
  if (place == count && line[count] != "") {
    mark = mark " joined"
    line[++count] = ""
  }
  block_size = 0
  add_to_block(mark)
  if (list_is_new) add_to_block(key)
  items = split(ENVIRON["ITEMS"], item, "\n")
  for (i = 1; i <= items; i++) add_to_block(item[i])
  for (i = 1; i <= items && action == "twice"; i++) add_to_block(item[i])
  add_to_block("# END " job)
  insert_block()
}

function add_to_block(text) { block[++block_size] = blanks(indent) text }

function insert_block(   i) {
  for (i = count; i > place; i--) line[i + block_size] = line[i]
  for (i = 1; i <= block_size; i++) line[place + i] = block[i]
  count += block_size
}

function find_place(   margin, list) {
  find_document()
  margin = margin_of_document()
  list = line_of_list(margin)
  if (list) {
    list_is_new = 0
    find_place_in_list(list, margin)
    return
  }
  list_is_new = 1
  indent = margin
  place = document_end - 1
  if (place == count && line[count] == "") place--
}

function find_document(   i, text) {
  document_start = 0
  for (i = 1; i <= count; i++) {
    text = content(i)
    if (is_document_mark(text)) {
      if (document_start || text ~ /^[.]/) break
      document_start = i + 1
      if (!says_nothing(substr(text, 4))) {
        refuse("it begins on the line of its ---; begin it on the next line")
      }
    } else if (!document_start && !says_nothing(text) && text !~ /^%/) {
      document_start = i
    }
  }
  document_end = i
  if (!document_start) document_start = i
}

function is_document_mark(text) { return text ~ /^(---|[.][.][.])([ \t]|$)/ }

function margin_of_document(   i) {
  i = next_that_says_something(document_start - 1, document_end)
  return i < document_end ? indent_of(content(i)) : 0
}

function line_of_list(margin,   i, text, found) {
  found = 0
  for (i = document_start; i < document_end; i++) {
    text = content(i)
    if (says_nothing(text) || indent_of(text) != margin) continue
    text = substr(text, margin + 1)
    if (text ~ /^[{]/) refuse("it is written as JSON; write it as YAML: " ENVIRON["AS_A_LIST"])
    if (text ~ /^["']?<<["']?[ \t]*:/) {
      refuse("it has a merge key (<<) at its margin; write out what it brings")
    }
    if (!found && text ~ /^["']?scrape_configs["']?[ \t]*:([ \t]|$)/) found = i
  }
  return found
}

function find_place_in_list(list, margin,   i) {
  refuse_other_form(line[list])
  i = next_that_says_something(list, document_end)
  indent = margin
  if (i < document_end && is_item(line[i]) && indent_of(line[i]) >= margin) {
    indent = indent_of(line[i])
  } else if (i < document_end && indent_of(line[i]) > margin) {
    refuse_no_list()
  }
  place = list
  if (list > 1 && line[list - 1] ~ any_first_mark) {
    while (place < document_end && line[place] !~ any_last_mark) place++
  }
}

function refuse_other_form(key_line,   value) {
  value = key_line
  sub(/^[^:]*:/, "", value)
  if (value ~ /^[ \t]*&/) {
    refuse("scrape_configs has an anchor, which may be used elsewhere; take it away")
  }
  sub(/^[ \t]+!!seq/, "", value)
  if (!says_nothing(value)) refuse_no_list()
}

function refuse_no_list() { refuse("scrape_configs is no block list; " ENVIRON["AS_A_LIST"]) }

function refuse_utf_16() {
  if (line[1] ~ /^(\377\376|\376\377)/) refuse("it is not UTF-8; save it as that")
}


function content(number,   text) {
  text = line[number]
  sub(/\r$/, "", text)
  if (number == 1) sub(/^\357\273\277/, "", text)
  return text
}

function next_that_says_something(number, end) {
  number++
  while (number < end && says_nothing(content(number))) number++
  return number
}

function says_nothing(text) { return text ~ /^[ \t]*(#.*)?\r?$/ }

function is_item(text) { return text ~ /^ *-([ \t\r]|$)/ }

function indent_of(text) {
  match(text, /^ */)
  return RLENGTH
}

function trimmed(text) {
  gsub(/^[ \t]+|[ \t\r]+$/, "", text)
  return text
}

function blanks(number,   text) {
  while (length(text) < number) text = text " "
  return text
}
