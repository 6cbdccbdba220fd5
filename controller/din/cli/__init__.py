# SPDX-License-Identifier: Apache-2.0
"""The command ``din``.

Exit status: 0 done; 1 the answer is no (errors in a model, differences, a network that does not come up);
2 a command line that makes no sense; 3 the controller refuses; 4 nothing is running there; 130 interrupted;
141 nobody reads the output any more. Of ``din run`` and ``din shell`` it is the program's, and 127 if there
is none.
What is asked for goes to stdout, everything else to stderr.

    main       the program, and what its errors become
    options    options that many commands have
    find       which network is meant
    check, up, look, change, drain, inside      the commands
    tables, explanation, changes                what they show
    enter, shell_environment, reading_shell     how one gets in
"""
