# Reads the configuration that Prometheus runs, as its API gives it (/api/v1/status/config), with
# each \n in it made a newline; prints the job of the name in JOB (environment), or nothing.
#
# Prometheus writes each job from the margin, `- job_name:` first, and indents the rest of it.

BEGIN { head = "- job_name: " ENVIRON["JOB"] }

!/^ / { ours = $0 == head }
ours
