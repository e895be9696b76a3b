// Completion scripts, made from the command tree itself so that they cannot drift from it.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

namespace palyra::cli {

// "run" -> its options; "runs" -> its subcommands; "" -> all commands.
inline void collect_words(const CLI::App& app, const std::string& path,
                          std::vector<std::pair<std::string, std::string>>& out) {
  std::string words;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    words += command->get_name() + " ";
    collect_words(*command, path.empty() ? command->get_name() : path + " " + command->get_name(),
                  out);
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  out.emplace_back(path, words);
}

inline int print_completion(const CLI::App& app, const std::string& shell) {
  std::vector<std::pair<std::string, std::string>> words;
  collect_words(app, "", words);
  if (shell == "fish") {
    for (const auto& [path, list] : words) {
      std::string condition = path.empty() ? "__fish_use_subcommand" : "";
      std::istringstream commands(path);
      for (std::string command; commands >> command;) {
        condition += (condition.empty() ? "" : "; and ") +
                     std::string("__fish_seen_subcommand_from ") + command;
      }
      std::printf("complete -c palyra -n '%s' -f -a '%s'\n", condition.c_str(), list.c_str());
    }
    return 0;
  }
  if (shell == "zsh") std::printf("autoload -U +X bashcompinit && bashcompinit\n");
  std::printf(
      "_palyra() {\n  local cur=${COMP_WORDS[COMP_CWORD]} path='' word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    [[ $word == -* ]] || path=\"${path:+$path }$word\"\n  done\n"
      "  while :; do\n    case \"$path\" in\n");
  for (const auto& [path, list] : words) {
    std::printf("      '%s') COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", path.c_str(),
                list.c_str());
  }
  std::printf(
      "    esac\n    [[ $path == *' '* ]] && path=${path%% *} || path=''\n  done\n}\n"
      "complete -F _palyra palyra\n");
  return 0;
}

}  // namespace palyra::cli
