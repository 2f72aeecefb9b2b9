#!/bin/sh
# HTTP requests, and what is to be made of the answers.
# It goes with metrics-answer.awk.

# What comes back of an HTTP request, headers and all, whoever answers and whatever it is. bash
# alone is on every host and speaks TCP; no other client is needed. It gets no startup file,
# environment or function of a login: what those print would be taken for an answer. env's printf
# sends the request, since bash itself sends each line in a packet of its own: some answer the first
# and close. Ends with 7 where nobody takes the connection, with 124 or 143 where the answer did not
# end in time.
http_answer() { # http://ADDRESS:PORT/PATH SECONDS
  env -i PATH="$PATH" timeout "$2" bash --norc --noprofile -c '
    trap "" PIPE
    url=${1#*//} place=${url%%/*} address=${place%:*}
    exec 3<>/dev/tcp/${address//[][]}/${place##*:} || exit 7
    env printf "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${url#*/}" "$place" >&3
    cat <&3' - "$1" 2>/dev/null </dev/null
}

# Prints the body of an answer 200, which is what stands behind the first empty line, and nothing of
# any other.
http_get() { # http://ADDRESS:PORT/PATH [SECONDS]
  http_answer "$1" "${2-6}" | sed -n '
    1{/^HTTP\/1\.[01] 200\( .*\)*\r*$/!q}
    1,/^\r*$/!p'
}

# Prints "metrics" for an answer that Prometheus can read whole; else what there is instead, in
# words that follow the name of who answers.
metrics_answer() { # http://ADDRESS:PORT/PATH SECONDS
  {
    code=0
    http_answer "$1" "$2" || code=$?
    echo ".$code"
  } | awk -v seconds="$2" "$METRICS_ANSWER_AWK"
}

# Whether metrics come from there, for poll: an exporter that leaves two requests unanswered will
# not answer the third.
# Sets: answer (what there was instead), hopeless and unanswered (for poll)
metrics_from() { # http://ADDRESS:PORT/PATH SECONDS
  answer=$(metrics_answer "$1" "$2")
  case $answer in
  metrics) return 0 ;;
  *within*)
    hopeless=$unanswered
    unanswered=1
    ;;
  speaks*TLS | *40[13]) answer="$answer; one that wants a password or TLS is not served" ;;
  *"status 400")
    answer="$answer; it may answer to names alone that it knows:"
    answer="$answer let it know $(called "$1"), or give another listen"
    ;;
  *"status 30"*)
    answer="$answer; redirects are not followed: give the path where its metrics are"
    ;;
  esac
  false
}

# The name that a request to a URL asks for.
called() { # http://ADDRESS:PORT/PATH
  place=${1#*//}
  place=${place%%/*}
  echo "${place%:*}"
}
