//! What stands in `config.toml`: the chains by name, and what is used where nobody says otherwise.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

/// The chain that is there without any settings: what `scripts/dev` runs.
pub const DEV_CHAIN: &str = "dev";
const DEV_ENDPOINT: &str = "ws://127.0.0.1:9944";

/// Where things are kept, by the XDG rules.
#[derive(Clone, Debug)]
pub struct Places {
    /// The settings' file.
    pub config: PathBuf,
    /// Accounts' keys.
    pub keys: PathBuf,
    /// Keys and known hosts for VMs.
    pub ssh: PathBuf,
}

impl Places {
    /// By the environment; `config` names another file for the settings.
    pub fn find(config: Option<PathBuf>) -> Result<Self, Failure> {
        let home = || {
            let home = env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"));
            home.map(PathBuf::from).filter(|home| home.is_absolute())
        };
        let place = |variable: &str, otherwise: &str| {
            let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            let place = named.or_else(|| home().map(|home| home.join(otherwise)));
            place.ok_or_else(|| Failure::Other(format!("set HOME or {variable}")))
        };
        let config = match config {
            Some(file) => file,
            None => place("XDG_CONFIG_HOME", ".config")?.join("quarry/config.toml"),
        };
        let data = place("XDG_DATA_HOME", ".local/share")?.join("quarry");
        Ok(Self { config, keys: data.join("keys"), ssh: data.join("ssh") })
    }
}

/// The settings.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The chain that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The key that signs where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where user data goes that a VM gets at its first start: an API of IPFS, as `http://127.0.0.1:5001`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipfs_api: Option<String>,
    /// What `quarry rent` takes where nothing else is said.
    #[serde(skip_serializing_if = "RentDefaults::is_empty")]
    #[serde(default)]
    pub rent: RentDefaults,
    /// The chains by name.
    #[serde(default)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub chains: BTreeMap<String, ChainSettings>,
}

/// What `quarry rent` takes where nothing else is said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RentDefaults {
    /// The plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The file of a public SSH key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<PathBuf>,
}

impl RentDefaults {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A chain.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSettings {
    /// WebSockets of its chain nodes; the first that answers is used.
    pub endpoints: Vec<String>,
    /// Its genesis; a chain node of another one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesis: Option<String>,
    /// The key that signs on this chain where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Settings {
    /// Reads the file; what is not there is as if it were empty.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::Usage(format!("{} cannot be used: {error}", file.display()))
        };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(&error)),
        };
        let settings: Self = toml_edit::de::from_str(&text).map_err(|error| wrong(&error))?;
        match &settings.chain {
            Some(name) if settings.chain(name).is_none() => {
                Err(wrong(&format!("chain = {name:?} names none of the chains in it")))
            }
            _ => Ok(settings),
        }
    }

    /// A chain by its name; `dev` is always there.
    pub fn chain(&self, name: &str) -> Option<ChainSettings> {
        let built_in = || {
            let endpoints = vec![DEV_ENDPOINT.to_owned()];
            (name == DEV_CHAIN).then_some(ChainSettings { endpoints, genesis: None, key: None })
        };
        self.chains.get(name).cloned().or_else(built_in)
    }

    /// The name of the chain that is used where none is named.
    pub fn chain_name(&self) -> &str {
        self.chain.as_deref().unwrap_or(DEV_CHAIN)
    }

    /// All of them, the built-in one too.
    pub fn chain_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.chains.keys().cloned().collect();
        if !self.chains.contains_key(DEV_CHAIN) {
            names.push(DEV_CHAIN.to_owned());
            names.sort();
        }
        names
    }
}

/// Changes the settings' file, and leaves alone what stands in it besides. The file is replaced as a whole.
pub fn edit(
    file: &Path,
    change: impl FnOnce(&mut toml_edit::DocumentMut),
) -> Result<Settings, Failure> {
    Settings::read(file)?;
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", file.display()));
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        text => text.unwrap_or_default(),
    };
    let parsed: Result<toml_edit::DocumentMut, _> = text.parse();
    let mut document = parsed.map_err(|error| Failure::Usage(error.to_string()))?;
    change(&mut document);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let half = file.with_extension("toml.new");
    fs::write(&half, document.to_string())
        .and_then(|()| fs::rename(&half, file))
        .map_err(failed)?;
    Settings::read(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn without_a_file_there_is_the_development_chain() {
        let settings = Settings::read(Path::new("/nowhere/config.toml")).unwrap();
        assert_eq!(settings.chain_name(), "dev");
        assert_eq!(settings.chain("dev").unwrap().endpoints, [DEV_ENDPOINT]);
        assert!(settings.chain("main").is_none());
    }

    #[test]
    fn chains_have_names_and_one_is_the_default() {
        let text = "chain = 'main'\n[chains.main]\nendpoints = ['wss://rpc.example']\nkey = 'me'\n";
        let (_folder, file) = written(text);
        let settings = Settings::read(&file).unwrap();
        assert_eq!(settings.chain_name(), "main");
        assert_eq!(settings.chain("main").unwrap().key.as_deref(), Some("me"));
        assert_eq!(settings.chain_names(), ["dev", "main"]);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named_with_the_file() {
        for (text, what) in [
            ("chian = 'main'", "chian"),
            ("chain = 'main'", "main"),
            ("chain = 1", "chain"),
            ("[chains.main]\nendpoint = 'x'", "endpoint"),
            ("[rent]\nplans = 'x'", "plans"),
            ("chain = ", "TOML"),
        ] {
            let (_folder, file) = written(text);
            let failure = Settings::read(&file).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            let told = failure.to_string();
            assert!(told.contains(what) && told.contains("config.toml"), "{told}");
        }
    }

    #[test]
    fn a_change_leaves_the_rest_of_the_file_alone() {
        let (_folder, file) = written("# mine\nipfs_api = 'http://127.0.0.1:5001' # local\n");
        let settings = edit(&file, |document| document["key"] = toml_edit::value("me")).unwrap();
        assert_eq!(settings.key.as_deref(), Some("me"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# mine\nipfs_api = 'http://127.0.0.1:5001' # local\n"), "{text}");
    }
}
