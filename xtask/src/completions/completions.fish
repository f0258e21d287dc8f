# Completes `cargo xtask` in the repositories that it belongs to: made by `cargo xtask completions fish`.

# The root of the repository, if the current folder is in one.
function __xtask_root
    set -l root (pwd -P)
    while not test -f "$root/@mark@"
        test -n "$root"; or return 1
        set root (string replace --regex '/[^/]*$' '' -- $root)
    end
    echo $root
end

# The words between `cargo xtask` and the cursor's word, if these are that.
function __xtask_words
    # The first is cargo; then a toolchain, flags of cargo's own (some have a word for a value), `xtask`.
    set -l words (commandline -opc)[2..]
    string match --quiet -- '+*' $words[1]; and set --erase words[1]
    while set --query words[1]
        switch $words[1]
            case xtask
                string join \n -- $words[2..]
                return 0
            case --color --config -C -Z
                set --erase words[1..2]
            case '-*'
                set --erase words[1]
            case '*'
                return 1
        end
    end
    return 1
end

function __xtask_is_meant
    __xtask_words >/dev/null; and __xtask_root >/dev/null
end

function __xtask_candidates
    set -l root (__xtask_root)
    set -l current (commandline -ct)
    set -l unquoted (string trim --left --chars='"\'' -- "$current")
    # Of a program that cannot start, fish itself would complain on the terminal; env does so on stderr.
    set -l answer (env CARGO_MANIFEST_DIR=$root/xtask @program@ completions fish -- \
        (__xtask_words) "$unquoted" 2>/dev/null </dev/null)
    set -l kind (string split \t -- $answer[1])
    string join \n -- $answer[2..]
    # Paths are those that fish offers to a command that it does not know.
    set -l paths
    if contains -- "$kind[1]" files folders
        set paths (complete -C "'' "(string replace -- "$kind[2]" '' "$current"))
    end
    test "$kind[1]" = folders; and set paths (string match '*/' -- $paths)
    string replace --regex -- '^' (string escape --style=regex -- "$kind[2]") $paths
end

# Fish asks what completes a command in addition to all else that does, in whichever order it is loaded.
complete -c cargo -n __xtask_is_meant -f -a '(__xtask_candidates)'
