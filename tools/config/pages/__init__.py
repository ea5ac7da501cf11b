"""The pages of callstash-config: each is one entry of the menu, and a step of the first walk.

A page is called with the screen and the word for leaving it. It returns when its work is done and
raises Back when somebody leaves it.
"""
