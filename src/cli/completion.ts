/**
 * `tandem completion`: prints the few lines that teach a shell to complete tandem's words. What could stand there is asked of tandem itself at each press of the tab key (complete-words.ts). The trap: bash
 * takes `=` for the end of a word, so there only what stands behind it is put in.
 */
import type { CommandModule } from "yargs";

const SHELLS = ["bash", "zsh", "fish"] as const;

interface CompletionArguments {
  shell: (typeof SHELLS)[number];
}

/** The hidden first word with which a shell asks main.ts; the words that are typed follow. */
const COMPLETE = "__complete";

const SCRIPTS: Readonly<Record<CompletionArguments["shell"], string>> = {
  bash: `# tandem completion for bash: eval "$(tandem completion bash)" in ~/.bashrc
_tandem() {
  local IFS=$'\\n' line before word
  local -a words
  COMPREPLY=()
  IFS=$' \\t\\n' read -ra words <<< "\${COMP_LINE:0:COMP_POINT}"
  word="\${words[-1]}"
  [[ "\${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && { words+=(""); word=""; }
  # Readline replaces only what stands behind the last = or :.
  before="\${word%"\${word##*[=:]}"}"
  while IFS= read -r line; do
    line="\${line%%$'\\t'*}"
    [[ "$line" == *[=.] ]] || line+=" "
    COMPREPLY+=("\${line#"$before"}")
  done < <("\${words[0]}" ${COMPLETE} "\${words[@]:1}" 2> /dev/null)
}
complete -o nospace -o default -F _tandem tandem
`,
  zsh: `#compdef tandem
# tandem completion for zsh: eval "$(tandem completion zsh)" in ~/.zshrc, after compinit
_tandem() {
  local line value
  local -a open closed
  while IFS= read -r line; do
    value="\${line%%$'\\t'*}"
    if [[ "$value" == *[=.] ]]; then open+=("$value"); else closed+=("$value"); fi
  done < <("\${words[1]}" ${COMPLETE} "\${(@)words[2,CURRENT]}" 2> /dev/null)
  if (( \${#open} + \${#closed} == 0 )); then
    compset -P '*='
    _files
    return
  fi
  (( \${#open} )) && compadd -S '' -- "\${open[@]}"
  (( \${#closed} )) && compadd -- "\${closed[@]}"
}
compdef _tandem tandem
`,
  fish: `# tandem completion for fish: tandem completion fish > ~/.config/fish/completions/tandem.fish
function __tandem_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] ${COMPLETE} $words[2..-1] 2> /dev/null
end
complete -c tandem -a '(__tandem_complete)'
`,
};

export const command: CommandModule<object, CompletionArguments> = {
  command: "completion <shell>",
  describe: "completion of commands, options, keys and values for your shell",
  builder: (yargs) =>
    yargs
      .positional("shell", { choices: SHELLS, demandOption: true, describe: "which shell's lines to print" })
      .example('eval "$($0 completion bash)"', "for this shell; in ~/.bashrc for every one")
      .example('eval "$($0 completion zsh)"', "in ~/.zshrc, after compinit")
      .example("$0 completion fish > ~/.config/fish/completions/tandem.fish", "once")
      .epilogue("Keys come one level at a time: train.g, then train.generator., then train.generator.lr=, then their choices."),
  handler: ({ shell }) => {
    process.stdout.write(SCRIPTS[shell]);
  },
};
