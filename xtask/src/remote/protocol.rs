//! What comes back from another machine: bytes of `agent.sh` in, messages out.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;

use anyhow::{Context as _, Result, anyhow, bail};

use nix_formats::version::NixVersion;

/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// The longest line, and the longest field of the hello, in bytes.
const LINE: u64 = 1 << 20;
/// The most fields of a hello.
const FIELDS: usize = 1000;
/// How much a login shell's settings may print before the hello.
const NOISE: u64 = 16 << 20;
/// The longest stdout of a command, and how much of its stderr is kept, in bytes.
const STDOUT: u64 = 16 << 20;
const STDERR: u64 = 4 << 20;

/// What the other side says of itself.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    /// All that was said, by name.
    pub fields: BTreeMap<String, String>,
}

/// What comes from the other side.
pub enum Message {
    Hello(Hello),
    Line(String),
    Reply {
        status: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    Raw(Vec<u8>),
    Stderr(Vec<u8>),
    /// Stdout ended, and with it the session.
    End,
}

/// What is known of the end of a stream of bytes, which a marker ends.
pub struct Tail {
    marker: Vec<u8>,
    /// What may be the beginning of the marker.
    held: Vec<u8>,
    /// How many of these bytes were handed over all the same.
    released: usize,
    complete: bool,
}

impl Tail {
    /// A stream that ends with `marker`.
    pub fn new(marker: Vec<u8>) -> Self {
        Self {
            marker,
            held: Vec::new(),
            released: 0,
            complete: false,
        }
    }

    /// The bytes before the marker. Behind it may come what ssh itself has to say.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.complete {
            return Vec::new();
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut places = all.windows(self.marker.len());
        if let Some(at) = places.position(|place| place == self.marker) {
            self.complete = true;
            all.truncate(at);
            return self.without_released(all);
        }
        let longest = self.marker.len().min(all.len());
        let held = (1..=longest)
            .rev()
            .find(|length| all.ends_with(&self.marker[..*length]))
            .unwrap_or(0);
        self.held = all.split_off(all.len() - held);
        self.without_released(all)
    }

    /// The end of a line that is held back, because a marker begins like it: whoever wrote the line may write
    /// nothing more for long.
    pub fn release(&mut self) -> &[u8] {
        if self.held == b"\n" && self.released == 0 {
            self.released = 1;
            return &self.held;
        }
        &[]
    }

    fn without_released(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let known = self.released.min(bytes.len());
        self.released -= known;
        bytes.split_off(known)
    }

    /// Whether the marker has come.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Hello {
    /// A field, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// Whether anything can be done on this machine.
    pub fn check(&self, host: &str) -> Result<()> {
        let system = self.system();
        if !system.ends_with("-linux") {
            bail!("`{host}` is a machine of {system}: builds on other machines want Linux there");
        }
        if let Some(problem) = self.get("problem") {
            bail!("no folder can be made on `{host}`: {problem}");
        }
        Ok(())
    }

    /// The version of Nix, once it is clear that this machine can do the work.
    pub fn nix_version(&self, host: &str) -> Result<NixVersion> {
        self.check(host)?;
        let Some(version) = self.get("version") else {
            bail!(
                "there is no Nix on `{host}`: no `nix-store` in {}; install it there, or say in the \
                 shell's settings for logins without a terminal where it is",
                self.get("tools_path").unwrap_or_default()
            );
        };
        if let Some(missing) = self.get("missing") {
            bail!("`{host}` is missing programs that every Linux has:{missing}");
        }
        version.parse().map_err(|()| {
            anyhow!("no version in what `nix-store --version` says on `{host}`: `{version}`")
        })
    }

    /// The system in Nix's words.
    pub fn system(&self) -> String {
        // `Linux x86_64`, as `uname -sm` says it.
        let words = self.get("system").unwrap_or_default().to_lowercase();
        let (system, machine) = words.split_once(' ').unwrap_or((&words, ""));
        format!("{}-{system}", machine.replace("arm64", "aarch64"))
    }
}

/// Reads answers; what comes before the marker is whatever the login shell's settings print.
pub fn read_stdout(stdout: impl Read, marker: &str, to: &SyncSender<Message>) -> Result<()> {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    let mut noise = NOISE;
    while line != format!("{marker}\n").as_bytes() {
        line.clear();
        let length = (&mut stdout)
            .take(LINE.min(noise))
            .read_until(b'\n', &mut line)?;
        noise -= length as u64;
        if length == 0 {
            return Ok(());
        }
    }
    let mut hello = Hello::default();
    loop {
        let mut field = Vec::new();
        (&mut stdout).take(LINE).read_until(0, &mut field)?;
        if hello.fields.len() > FIELDS {
            bail!("it says too much of itself");
        }
        if field.pop() != Some(0) || field.is_empty() {
            break;
        }
        let field = String::from_utf8_lossy(&field);
        if let Some((name, value)) = field.split_once('=') {
            hello.fields.insert(name.to_owned(), value.to_owned());
        }
    }
    to.send(Message::Hello(hello))?;
    loop {
        let mut line = String::new();
        if (&mut stdout).take(LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') && line.len() as u64 == LINE {
            bail!("a line without an end");
        }
        let line = line.trim_end_matches('\n');
        if line == "raw" {
            return read_pieces(stdout, to, Message::Raw);
        }
        let Some(reply) = line.strip_prefix("reply ") else {
            to.send(Message::Line(line.to_owned()))?;
            continue;
        };
        let mut numbers = reply.split_whitespace().map(str::parse);
        let mut number = || {
            numbers
                .next()
                .context("a reply has three numbers")?
                .context("a number")
        };
        let (status, out, err): (u64, u64, u64) = (number()?, number()?, number()?);
        if out > STDOUT {
            bail!("an answer of {out} bytes");
        }
        let mut bytes = |length: u64| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            if (&mut stdout).take(length).read_to_end(&mut bytes)? as u64 != length {
                bail!("a reply that ends too early");
            }
            Ok(bytes)
        };
        let (answer, stderr) = (bytes(out)?, bytes(err.min(STDERR))?);
        io::copy(
            &mut (&mut stdout).take(err.saturating_sub(STDERR)),
            &mut io::sink(),
        )?;
        to.send(Message::Reply {
            status: i32::try_from(status)?,
            stdout: answer,
            stderr,
        })?;
    }
}

pub fn read_pieces(
    mut stream: impl Read,
    to: &SyncSender<Message>,
    word: impl Fn(Vec<u8>) -> Message,
) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => to.send(word(chunk[..length].to_vec()))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a shell's `$?` says: above 128 a signal ended it.
pub fn exit_status(status: i32) -> ExitStatus {
    match status {
        129.. => ExitStatus::from_raw(status - 128),
        _ => ExitStatus::from_raw(status << 8),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn the_marker_ends_a_stream_wherever_it_is_cut() {
        let text = b"one\ntwo\n\nmark\n";
        for cut in 0..text.len() {
            let mut tail = Tail::new(b"\nmark\n".to_vec());
            let mut out = tail.push(&text[..cut]);
            assert!(!tail.is_complete());
            out.extend(tail.push(&text[cut..]));
            assert!(tail.is_complete());
            assert_eq!(out, b"one\ntwo\n", "cut at {cut}");
        }
        let mut tail = Tail::new(b"\nmark\n".to_vec());
        assert_eq!(tail.push(b"one\n\nmark\ndebug2: more"), b"one\n");
        assert_eq!((tail.push(b"\n"), tail.is_complete()), (Vec::new(), true));
        let mut tail = Tail::new(b"\nmark\n".to_vec());
        let mut out = tail.push(b"a\nmar");
        out.extend(tail.push(b"ble\n"));
        assert_eq!((&out[..], tail.is_complete()), (&b"a\nmarble"[..], false));
    }

    #[test]
    fn the_end_of_a_line_is_not_held_back_for_long() {
        for (more, rest, ends) in [
            (&b"\nmark\n"[..], &b""[..], true),
            (b"mark\n", b"", true),
            (b"marble\n", b"marble", false),
            (b"\nb", b"\nb", false),
        ] {
            for cut in 0..more.len() {
                let mut tail = Tail::new(b"\nmark\n".to_vec());
                assert_eq!(tail.push(b"a\n"), b"a");
                assert_eq!(tail.release(), b"\n");
                assert_eq!(tail.release(), b"");
                let mut out = tail.push(&more[..cut]);
                out.extend(tail.push(&more[cut..]));
                assert_eq!((&out[..], tail.is_complete()), (rest, ends), "cut at {cut}");
            }
        }
    }

    #[test]
    fn how_a_command_ended() {
        assert_eq!(exit_status(102).code(), Some(102));
        assert_eq!(exit_status(137).signal(), Some(9));
        assert!(exit_status(0).success());
    }

    #[test]
    fn greetings_come_after_whatever_a_login_prints() {
        let (sender, receiver) = sync_channel(16);
        let stdout = b"Welcome!\nno newline\nmark\nfolder=/x\0NIX_CONFIG=a\nb\0\0reply 1 2 3\nabcdebeat\nreply 0 9 0\nx";
        assert!(read_stdout(&stdout[..], "mark", &sender).is_err());
        drop(sender);
        let words: Vec<Message> = receiver.iter().collect();
        let [
            Message::Hello(hello),
            Message::Reply {
                status: 1,
                stdout,
                stderr,
            },
            Message::Line(line),
        ] = &words[..]
        else {
            panic!("{} words", words.len());
        };
        assert_eq!(hello.get("NIX_CONFIG"), Some("a\nb"));
        assert_eq!((&stdout[..], &stderr[..]), (&b"ab"[..], &b"cde"[..]));
        assert_eq!(line, "beat");
    }
}
