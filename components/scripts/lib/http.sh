#!/bin/sh
# HTTP requests, and what is to be made of the answers.

# What comes back of an HTTP request, headers and all, whoever answers and whatever it is. bash alone is on every host and
# speaks TCP; no other client is needed. It gets no startup file, environment or function of a login: what those print
# would be taken for an answer.
# It is sent by env's printf, since bash itself sends each line in a packet of its own: some answer the first and close.
# Ends with 7 where nobody takes the connection, with 124 or 143 where the answer did not end in time.
http_answer() { # http://ADDRESS:PORT/PATH SECONDS
  env -i PATH="$PATH" timeout "$2" bash --norc --noprofile -c '
    trap "" PIPE
    url=${1#*//} place=${url%%/*} address=${place%:*}
    exec 3<>/dev/tcp/${address//[][]}/${place##*:} || exit 7
    env printf "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${url#*/}" "$place" >&3
    cat <&3' - "$1" 2>/dev/null </dev/null
}

# Prints the body of an answer 200, and nothing of any other.
http_get() { # http://ADDRESS:PORT/PATH [SECONDS]
  http_answer "$1" "${2-6}" | sed -n '1{/^HTTP\/1\.[01] 200\( .*\)*\r*$/!q};1,/^\r*$/!p'
}

# Prints "metrics" for an answer that Prometheus can read whole: HTTP, status 200, one sample at least and no line that is
# none. Else what there is instead, in words that follow the name of who answers.
metrics_answer() { # http://ADDRESS:PORT/PATH SECONDS
  # What is printed last tells how the request ended, and whether the last line had an end.
  { http_answer "$1" "$2" && echo .0 || echo .$?; } | awk -v seconds="$2" '
    BEGIN {
      number = "[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN])([eE][-+]?[0-9]+)?"
      name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
      sample = "^[ \t]*(" name "[ \t]+|(" name ")?[ \t]*[{].*[}][ \t]*)" number "([ \t]+" number ")?([ \t]+#.*)?[ \t]*$"
      promised = -1
    }
    NR > 1 { take(line, 1) }
    { line = $0 }
    END {
      match(line, /[.][0-9]+$/)
      ended = substr(line, RSTART + 1)
      whole_line = RSTART == 1
      if (!whole_line) take(substr(line, 1, RSTART - 1), 0)
      print verdict()
    }

    function take(text, end) {
      lines++
      if (lines == 1) first = text
      else if (in_body) body_line(text, end)
      else header(tolower(text))
    }
    function header(text) {
      sub(/\r$/, "", text)
      if (text == "") in_body = 1
      if (text ~ /^content-length:[ \t]*[0-9]+$/) { sub(/.*:[ \t]*/, "", text); promised = text + 0 }
      if (text ~ /^transfer-encoding:.*chunked/) chunked = 1
    }
    function body_line(text, end) {
      came += length(text) + end
      if (text ~ sample) samples++
      else if (text !~ /^[ \t]*(#.*)?$/) strange++
      if (text ~ /HTTPS|SSL|TLS/) names_tls = 1
      last_chunk = text ~ /^0\r?$/ || (last_chunk && text ~ /^\r?$/)
    }

    function verdict() {
      late = ended == 124 || ended == 143
      if (!lines) {
        if (ended == 7) return "takes no connection"
        return late ? "answers nothing within " seconds " s" : "closes the connection without an answer"
      }
      if (first ~ /^\025\003/) return "speaks TLS"
      if (first !~ /^HTTP\/1[.][01] [1-5][0-9][0-9]( .*)?\r?$/) return "answers with what is no HTTP"
      status = substr(first, 10, 3)
      if (status == 400 && names_tls) return "speaks TLS"
      if (status != 200) return "answers with status " status
      if (!whole()) return late ? "does not end its answer within " seconds " s" : "cuts its answer short"
      if (!samples && !strange) return "answers without one sample"
      if (!samples || (strange && !chunked)) return "answers with what is no metrics"
      return "metrics"
    }
    function whole() {
      if (promised >= 0) return in_body && came >= promised
      if (chunked) return last_chunk
      return in_body && ended == 0 && whole_line
    }'
}

# Whether metrics come from there, for poll: an exporter that leaves two requests unanswered will not answer the third.
# Sets answer, which says what there was instead.
metrics_from() { # http://ADDRESS:PORT/PATH SECONDS
  answer=$(metrics_answer "$1" "$2")
  case $answer in
  metrics) return 0 ;;
  *within*)
    hopeless=$unanswered
    unanswered=1
    ;;
  speaks*TLS | *40[13]) answer="$answer; one that wants a password or TLS is not served" ;;
  *"status 400") answer="$answer; it may answer to names alone that it knows: let it know $(called "$1"), or give another listen" ;;
  *"status 30"*) answer="$answer; redirects are not followed: give the path where its metrics are" ;;
  esac
  false
}

# The name that a request to a URL asks for.
called() { # http://ADDRESS:PORT/PATH
  place=${1#*//}
  place=${place%%/*}
  echo "${place%:*}"
}
