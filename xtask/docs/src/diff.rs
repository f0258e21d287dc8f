//! `--dry-run`: the changes of a move as a diff.

use anyhow::Result;
use camino::Utf8Path;
use sys::files;
use sys::git::Git;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;
use vault::moves::Texts;

/// Prints what would change as git shows it; `folder` is how the vault's is shown.
pub fn show(root: &Utf8Path, folder: &Utf8Path, before: &Texts, after: &Texts) -> Result<()> {
    let scratch = Scratch::new()?;
    let folder = if folder.is_absolute() {
        Utf8Path::new("")
    } else {
        folder
    };
    let processes = Processes::new(false)?;
    let repository = scratch.path();
    // A hook of git's has the caller's repository in its environment.
    let git = Git::new(&processes, repository).isolated();
    git.output(&["init", "--quiet"])?;
    let mut trees: Vec<String> = Vec::new();
    for (texts, others) in [(before, after), (after, before)] {
        for path in before.keys() {
            let _ = fs_err::remove_file(repository.join(folder).join(path));
        }
        for (path, text) in texts {
            if others.get(path) != Some(text) {
                let file = repository.join(folder).join(path);
                fs_err::create_dir_all(file.parent().unwrap_or(root))?;
                files::write_atomically(&file, text.as_bytes(), 0o644)?;
            }
        }
        git.output(&["add", "--all", "--force"])?;
        trees.push(git.output(&["write-tree"])?);
    }
    let colour = if terminal::stdout_takes_escapes() {
        "--color=always"
    } else {
        "--color=never"
    };
    // Whatever the user's own settings are.
    let plain = [
        "core.autocrlf=false",
        "diff.noprefix=false",
        "diff.mnemonicPrefix=false",
    ];
    let mut arguments: Vec<&str> = plain.iter().flat_map(|setting| ["-c", *setting]).collect();
    arguments.extend(["diff", "--no-ext-diff", "--find-renames", colour]);
    arguments.extend(trees.iter().map(|tree| tree.trim()));
    let diff = git.output(&arguments)?;
    if !diff.is_empty() {
        terminal::emit(diff.trim_end_matches('\n'))?;
    }
    Ok(())
}
