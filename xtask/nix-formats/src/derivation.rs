//! Store derivations (`.drv` files): the outputs, what a fixed one has to hash to, and what is needed.
//!
//! The format is that of `Derivation::unparse` in Nix's `libstore/derivations.cc`, the same since its
//! first versions: `Derive([("out","/nix/store/…","r:sha256","<base 16>"),…],…`. The commands of Nix
//! that print derivations are experimental and change.

use camino::Utf8PathBuf;

use crate::sri::{Algorithm, Sri};
use crate::store_path;

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its store path; empty when it is known only after the build.
    pub path: String,
    /// What it has to hash to, if it is fixed.
    pub fixed: Option<Fixed>,
}

/// What a fixed output has to hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Whether the hash is of the NAR, and not of a single file's bytes.
    pub recursive: bool,
    /// The hash.
    pub hash: Sri,
}

impl Output {
    /// Where this fixed output would be if it had another hash.
    pub fn with_hash(&self, hash: &Sri) -> Option<Utf8PathBuf> {
        let recursive = self.fixed.as_ref()?.recursive;
        let path = camino::Utf8Path::new(&self.path);
        let name = store_path::name_of(&self.path);
        Some(store_path::fixed_output(
            path.parent()?,
            name,
            recursive,
            hash,
        ))
    }
}

/// The outputs in the text of a store derivation; `None` when it is no such text.
pub fn outputs(text: &str) -> Option<Vec<Output>> {
    outputs_and_rest(text).map(|(outputs, _)| outputs)
}

/// The derivations whose outputs one needs, in its text; what is not understood gives none.
pub fn inputs(text: &str) -> Vec<String> {
    let mut inputs = Vec::new();
    let rest = outputs_and_rest(text).and_then(|(_, rest)| rest.strip_prefix("],["));
    let mut rest = rest.unwrap_or_default();
    while let Some((path, behind)) = rest.strip_prefix('(').and_then(string) {
        inputs.push(path);
        let Some(end) = behind.find(')') else { break };
        rest = behind[end + 1..].trim_start_matches(',');
    }
    inputs
}

/// The outputs, and the text from the end of their list on.
fn outputs_and_rest(text: &str) -> Option<(Vec<Output>, &str)> {
    // Newer experimental formats have a version before the list.
    let start = text
        .strip_prefix("Derive(")
        .or_else(|| text.strip_prefix("DrvWithVersion("))?;
    let mut rest = &start[start.find('[')? + 1..];
    let mut outputs = Vec::new();
    while let Some(output) = rest.strip_prefix('(') {
        let (_, output) = string(output)?;
        let (path, output) = string(output.strip_prefix(',')?)?;
        let (algorithm, output) = string(output.strip_prefix(',')?)?;
        let (digest, output) = string(output.strip_prefix(',')?)?;
        outputs.push(Output {
            path,
            fixed: fixed(&algorithm, &digest),
        });
        rest = output.strip_prefix(')')?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (rest.starts_with(']') && !outputs.is_empty()).then_some((outputs, rest))
}

/// A string in quotes, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            _ => value.push(character),
        }
    }
    None
}

/// The meaning of `r:sha256` and digits; `None` when the output is not fixed, or in a way that no pin
/// of this repository is.
fn fixed(algorithm: &str, digest: &str) -> Option<Fixed> {
    let (recursive, algorithm) = match algorithm.strip_prefix("r:") {
        Some(algorithm) => (true, algorithm),
        None => (false, algorithm),
    };
    let algorithm = Algorithm::from_name(algorithm)?;
    let digest = (0..digest.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digest.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    let hash = Sri::new(algorithm, digest)?;
    Some(Fixed { recursive, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    // As `nix-instantiate` of Nix 2.8 and 2.26 wrote them, cut behind the outputs' list.
    const FLAT: &str = r#"Derive([("out","/nix/store/gc4mdv0vikcb0hqyn0mf97grgs1aaf0p-flat","sha256","98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4")],[],["/x"],"s","#;

    const RECURSIVE: &str = r#"Derive([("out","/nix/store/qix5kvys1jiir925ngc2kjjim4cxzy3z-recursive","r:sha256","98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4")],[]"#;
    const SHA512: &str = r#"Derive([("out","/nix/store/658rm6sj8gsjn5zf9pyas3jck9z5fxg8-z","sha512","ee22b335fcbc95662cdf3ab8a053daf045d9cf9c6df6040d28965abb707512b2c16fa6c5eec049d34c74f78f390cebd14f697919eadb97756564d4f9eccc4954")],[]"#;

    #[test]
    fn outputs_are_found() {
        let plain =
            r#"Derive([("dev","/nix/store/a-x-dev","",""),("out","/nix/store/b-x","","")],[]"#;
        let paths: Vec<String> = outputs(plain)
            .unwrap()
            .into_iter()
            .map(|output| output.path)
            .collect();
        assert_eq!(paths, ["/nix/store/a-x-dev", "/nix/store/b-x"]);
        let fixed = outputs(FLAT).unwrap().remove(0).fixed.unwrap();
        assert!(!fixed.recursive);
        assert_eq!(
            fixed.hash.to_string(),
            "sha256-mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q="
        );
    }

    #[test]
    fn where_a_hash_leads() {
        for drv in [FLAT, RECURSIVE, SHA512] {
            let output = outputs(drv).unwrap().remove(0);
            let own = output.fixed.clone().unwrap().hash;
            assert_eq!(output.with_hash(&own).unwrap(), output.path.as_str());
        }
    }

    #[test]
    fn what_is_needed() {
        let text = r#"Derive([("out","/x","","")],[("/nix/store/a.drv",["dev","out"]),("/nix/store/b.drv",["out"])],["/s"],"x","b",[],[])"#;
        assert_eq!(inputs(text), ["/nix/store/a.drv", "/nix/store/b.drv"]);
        for text in [r#"Derive([("out","/x","","")],[],["/s"]"#, "Derive(", ""] {
            assert_eq!(inputs(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_is_no_derivation() {
        for text in [
            "",
            "Derive(",
            "Derive([])",
            r#"Derive([("out","/x","","")"#,
            r#"Derive([("out","/x"#,
            r#"Derive([("out","/x","",)]"#,
        ] {
            assert_eq!(outputs(text), None, "{text}");
        }
        let odd = r#"Derive([("out","/\"x\\\n","r:sha256","zz")],"#;
        let odd = outputs(odd).unwrap().remove(0);
        assert_eq!((odd.path.as_str(), odd.fixed), ("/\"x\\\n", None));
    }
}
