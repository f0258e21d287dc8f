# Completes `cargo xtask` in the repositories that it belongs to: made by `cargo xtask completions zsh`.

# Stands before whatever completes cargo, and says whether it completed the line itself.
__xtask_complete() {
    # `cargo`, a toolchain, flags of cargo's own (some have a word for a value), `xtask`.
    local -i at=2
    [[ $words[at] == +* ]] && (( at += 1 ))
    while (( at < CURRENT )) && [[ $words[at] != xtask ]]; do
        case $words[at] in
            (--color|--config|-C|-Z) (( at += 2 )) ;;
            (-*) (( at += 1 )) ;;
            (*) return 1 ;;
        esac
    done
    (( at < CURRENT )) || return 1
    local root=${PWD:A}
    until [[ -f $root/@mark@ ]]; do
        [[ -n $root ]] || return 1
        root=${root%/*}
    done

    # Nobody else is asked.
    _compskip=all
    local -a answer
    answer=("${(@f)$(CARGO_MANIFEST_DIR=$root/xtask @program@ completions zsh -- \
        "${(@Q)words[at+1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
    local kind=${answer[1]%%$'\t'*} prefix=${answer[1]#*$'\t'} ret=1
    shift answer
    compset -p $#prefix
    (( $#answer )) && _describe -t xtask xtask answer && ret=0
    case $kind in
        (files) _files && ret=0 ;;
        (folders) _files -/ && ret=0 ;;
    esac
    return ret
}

if (( $+functions[compdef] )); then
    # By pattern: such completions are asked first, and nothing that is registered for cargo, now or
    # later, takes their place.
    compdef -p __xtask_complete cargo
else
    print -u2 'cargo xtask completions: run compinit before this'
fi
