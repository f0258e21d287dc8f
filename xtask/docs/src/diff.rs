//! The changes of a move as a diff: for `--dry-run`, `--finish` and `--abort`.

use std::io::Write as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sys::git::Git;
use sys::printable::{lines, printable};
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;
use vault::moves::Texts;

/// Prints what would change as git shows it; `folder` is how the vault's is shown. In a file or pipe the diff is exact;
/// on a terminal what acts there is shown as escapes.
/// Of `files`, which are no texts, the names change alone.
pub fn show(
    root: &Utf8Path,
    folder: &Utf8Path,
    (before, after): (&Texts, &Texts),
    files: &[(Utf8PathBuf, Utf8PathBuf)],
) -> Result<()> {
    let scratch = Scratch::new()?;
    let folder = if folder.is_absolute() {
        Utf8Path::new("")
    } else {
        folder
    };
    let is_exact = !std::io::IsTerminal::is_terminal(&std::io::stdout());
    let processes = Processes::new(false)?;
    let repository = scratch.path();
    // A hook of git's has the caller's repository in its environment.
    let git = Git::new(&processes, repository).isolated();
    git.output(&["init", "--quiet"])?;
    let mut trees: Vec<String> = Vec::new();
    let place = |path: &Utf8Path| {
        let path = folder.join(path);
        let shown = if is_exact {
            path.as_str().into()
        } else {
            printable(path.as_str())
        };
        repository.join(&*shown)
    };
    let mut laid_out: Vec<Utf8PathBuf> = Vec::new();
    for (texts, others) in [(before, after), (after, before)] {
        for file in laid_out.drain(..) {
            // On a terminal two names may be shown alike.
            let _ = fs_err::remove_file(file);
        }
        let differing = texts
            .iter()
            .filter(|(path, text)| others.get(*path) != Some(*text));
        for (path, text) in differing {
            let file = place(path);
            fs_err::create_dir_all(file.parent().unwrap_or(root))?;
            let text = if is_exact { text.into() } else { lines(text) };
            // It is gone soon: nothing has to be on the disk.
            fs_err::File::create(&file)?.write_all(text.as_bytes())?;
            laid_out.push(file);
        }
        git.output(&["-c", "core.autocrlf=false", "add", "--all", "--force"])?;
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
    for (old, new) in files {
        let [old, new] = [old, new].map(|path| folder.join(path).into_string());
        let words = format!(
            "diff --git a/{old} b/{new}\nsimilarity index 100%\nrename from {old}\nrename to {new}"
        );
        terminal::emit(&words)?;
    }
    Ok(())
}
