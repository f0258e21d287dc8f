# Completes `cargo xtask` in the repositories that it belongs to: made by `cargo xtask completions bash`.

# The completion of cargo. It has no variables of its own, for cargo's completion would see them.
__xtask_complete() {
    __xtask_answer || __xtask_cargo "$@"
}

# Completes `cargo xtask`, if the line is that.
__xtask_answer() {
    # `cargo`, a toolchain, flags of cargo's own (some have a word for a value), `xtask`, the rest.
    local cargo='^[[:blank:]]*[^[:blank:]]+([[:blank:]]+\+[^[:blank:]]+)?'
    local flags='([[:blank:]]+((--color|--config|-C|-Z)[[:blank:]]+[^[:blank:]]+|-[^[:blank:]]+))*'
    [[ ${COMP_LINE:0:COMP_POINT} =~ $cargo$flags[[:blank:]]+xtask[[:blank:]](.*)$ ]] || return
    local rest=${BASH_REMATCH[-1]} root answer=()
    root=$(pwd -P)
    until [[ -f $root/@mark@ ]]; do
        [[ $root ]] || return
        root=${root%/*}
    done
    mapfile -t answer < <(CARGO_MANIFEST_DIR=$root/xtask @program@ completions bash -- \
        "$COMP_WORDBREAKS" "$rest" 2>/dev/null </dev/null)
    COMPREPLY=("${answer[@]:1}")
    case ${answer-} in
        files*) compopt -o default ;;
        folders*) compopt -o dirnames ;;
    esac
    return 0
}

# The completion of cargo as it is without this script.
__xtask_cargo() {
    local __xtask_spec __xtask_at __xtask_function __xtask_status
    # Where nothing is registered, bash asks what is registered for everything else. That may load
    # cargo's completion, whose registration is kept by `complete` below, and say 124: try again.
    for _ in once again; do
        __xtask_spec=${__xtask_cargo_spec:-$(builtin complete -p -D 2>/dev/null)}
        if [[ ! $__xtask_spec ]]; then
            compopt -o bashdefault -o default
            return
        fi
        # What bash printed, it reads.
        eval "__xtask_spec=($__xtask_spec)"
        __xtask_function=
        for ((__xtask_at = 1; __xtask_at < ${#__xtask_spec[@]}; __xtask_at++)); do
            case ${__xtask_spec[__xtask_at]} in
                -o) compopt -o "${__xtask_spec[++__xtask_at]}" ;;
                -F) __xtask_function=${__xtask_spec[++__xtask_at]} ;;
            esac
        done
        if [[ ! $__xtask_function ]]; then
            # The words of the registration without `complete` and the name.
            mapfile -t COMPREPLY < <(
                compgen "${__xtask_spec[@]:1:${#__xtask_spec[@]}-2}" -- "$2" 2>/dev/null
            )
            return
        fi
        "$__xtask_function" "$@"
        __xtask_status=$?
        ((__xtask_status == 124)) || return "$__xtask_status"
    done
}

# Keeps what is registered for cargo, and stands before it.
__xtask_stand_before() {
    local spec
    spec=$(builtin complete -p cargo 2>/dev/null)
    [[ $spec == *' -F __xtask_complete '* ]] || __xtask_cargo_spec=$spec
    builtin complete -F __xtask_complete cargo
}

# Cargo's completion may be loaded after this script, and would take its place.
complete() {
    builtin complete "$@" || return
    if [[ " $* " == *' cargo '* ]] && builtin complete -p cargo &>/dev/null; then
        __xtask_stand_before
    fi
}

__xtask_stand_before
