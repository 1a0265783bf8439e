"""`unseen serve`: the jobs behind an HTTP API and a web page; queue and state in a folder, each job in a process."""
