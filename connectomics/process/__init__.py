"""How this process gets along with the machine and the shell that started it.

`signals` asks it to stop, `launchers` leave variables behind, `output` may not be readable by
anyone, and `failures` says in words what the machine refused.
"""
