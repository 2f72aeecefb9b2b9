
BEGIN { head = "- job_name: " ENVIRON["JOB"] }

!/^ / { ours = $0 == head }
ours
