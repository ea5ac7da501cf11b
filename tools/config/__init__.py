"""callstash-config: the full-screen tool at the console, for the first boot and for later.

A change is made at one point, by one rename, or by a job that needs no terminal: whenever the
terminal goes away, the machine is as it was or as it shall be.
"""
