# Quiet and plain: the console is read by programs as well as by people.
PS1='root@server:\w# '
HISTFILE=
