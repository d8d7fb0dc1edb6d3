"""Templates of the scripts that ``completion`` prints; placeholders such as ``@WORDS@`` are filled in.

Each script finds the flow file among the words before the cursor and follows the commands after it. It then
offers the values of an option that still needs one, else the words of the command, else files.
"""

BASH = r"""
# Completes @PROG@ in bash; printed by: @COMMAND@ bash
_acf_words_@NAME@() {
  case "$1" in
@WORDS@
  esac
}
_acf_takes_@NAME@() {
  case "$1" in
@TAKES@
  esac
}
_acf_values_@NAME@() {
  case "$1" in
@VALUES@
  esac
}
_acf_has() { [[ " $1 " == *" $2 "* ]]; }
_acf_complete_@NAME@() {
  local start=$1 path= open= word i
  for ((i = start + 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == "=" ]]; then continue; fi
    if [[ -n $open ]]; then open=; continue; fi
    if [[ $word == -* ]]; then
      if _acf_has "$(_acf_takes_@NAME@ "$path")" "$word"; then open=$word; fi
    elif [[ -n $(_acf_words_@NAME@ "${path:+$path }$word") ]]; then
      path="${path:+$path }$word"
    fi
  done
  local current=${COMP_WORDS[COMP_CWORD]}
  if [[ $current == "=" ]]; then current=; fi
  if [[ -n $open ]]; then
    COMPREPLY=($(compgen -W "$(_acf_values_@NAME@ "$path $open")" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(_acf_words_@NAME@ "$path")" -- "$current"))
  fi
}
_acf_python() {
  local i name
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == -* ]]; then continue; fi
    name=${COMP_WORDS[i]##*/}
    name=_acf_complete_${name//[^A-Za-z0-9_]/_}
    if declare -F "$name" >/dev/null; then "$name" "$i"; fi
    return
  done
}
_acf_file_@NAME@() { _acf_complete_@NAME@ 0; }
complete -o default -o bashdefault -F _acf_file_@NAME@ @PROG@
complete -o default -o bashdefault -F _acf_python python python3
"""

ZSH = r"""
# Completes @PROG@ in zsh; printed by: @COMMAND@ zsh
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
_acf_words_@NAME@() {
  case "$1" in
@WORDS@
  esac
}
_acf_takes_@NAME@() {
  case "$1" in
@TAKES@
  esac
}
_acf_values_@NAME@() {
  case "$1" in
@VALUES@
  esac
}
_acf_complete_@NAME@() {
  local start=$1 route= open= word i
  for ((i = start + 1; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $open ]]; then open=; continue; fi
    if [[ $word == -* ]]; then
      if [[ " $(_acf_takes_@NAME@ "$route") " == *" $word "* ]]; then open=$word; fi
    elif [[ -n $(_acf_words_@NAME@ "${route:+$route }$word") ]]; then
      route="${route:+$route }$word"
    fi
  done
  local offered
  if [[ -n $open ]]; then
    offered=$(_acf_values_@NAME@ "$route $open")
  elif [[ $words[CURRENT] == -*=* ]]; then
    open=${words[CURRENT]%%=*}
    compset -P '*='
    offered=$(_acf_values_@NAME@ "$route $open")
  else
    offered=$(_acf_words_@NAME@ "$route")
  fi
  compadd -- ${=offered} || _files
}
_acf_python() {
  local i name
  for ((i = 2; i < CURRENT; i++)); do
    if [[ $words[i] == -* ]]; then continue; fi
    name=_acf_complete_${${words[i]:t}//[^A-Za-z0-9_]/_}
    if (( $+functions[$name] )); then $name $i; return; fi
    break
  done
  _default
}
_acf_file_@NAME@() { _acf_complete_@NAME@ 1; }
compdef _acf_file_@NAME@ @PROG@
compdef _acf_python python python3
"""

FISH = r"""
# Completes @PROG@ in fish; printed by: @COMMAND@ fish
function _acf_words_@NAME@
    switch "$argv[1]"
@WORDS@
    end
end
function _acf_takes_@NAME@
    switch "$argv[1]"
@TAKES@
    end
end
function _acf_values_@NAME@
    switch "$argv[1]"
@VALUES@
    end
end
function _acf_start_@NAME@
    set -l tokens (commandline -opc)
    for i in (seq (count $tokens))
        if test (basename -- $tokens[$i]) = @PROG@
            echo $i
            return 0
        end
    end
    return 1
end
function _acf_complete_@NAME@
    set -l start (_acf_start_@NAME@); or return
    set -l tokens (commandline -opc)
    set -l route ''
    set -l open ''
    set -l rest
    if test (count $tokens) -gt $start
        set rest $tokens[(math $start + 1)..-1]
    end
    for word in $rest
        if test -n "$open"
            set open ''
        else if string match -q -- '-*' $word
            if contains -- $word (_acf_takes_@NAME@ "$route")
                set open $word
            end
        else if count (_acf_words_@NAME@ (string trim "$route $word")) >/dev/null
            set route (string trim "$route $word")
        end
    end
    if test -n "$open"
        set -l values (_acf_values_@NAME@ "$route $open")
        if test (count $values) -gt 0
            printf '%s\n' $values
        else
            __fish_complete_path (commandline -ct)
        end
    else
        _acf_words_@NAME@ "$route"
    end
end
complete -c @PROG@ -f -a '(_acf_complete_@NAME@)'
for interpreter in python python3
    complete -c $interpreter -n _acf_start_@NAME@ -f -a '(_acf_complete_@NAME@)'
end
"""
