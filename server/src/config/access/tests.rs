use super::*;
use crate::config::tests::resolve;

/// `printf %s s3cret | sha256sum`
const SHA256: &str = "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0";

fn no_env(_: &str) -> Option<String> {
    None
}

fn file(text: &str) -> Result<Vec<Token>, String> {
    parse_tokens_file(Path::new("/etc/tokens.toml"), text, &|name| (name == "SECRET").then(|| "from the environment".to_owned())).map_err(|e| e.to_string())
}

#[test]
fn a_secret_is_known_by_its_hash() {
    let hash = SecretHash::parse(SHA256, &no_env).unwrap();
    assert!(hash.is_of(&SecretHashes::of(b"s3cret")) && !hash.is_of(&SecretHashes::of(b"s3cret ")) && !hash.is_of(&SecretHashes::of(b"")));
    assert_eq!(format!("{hash:?}"), "***");
}

#[test]
fn a_plain_secret_comes_from_the_environment() {
    let tokens = file("[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\ntenants = [\"t\"]\naccess = \"read\"\n").unwrap();
    assert!(tokens[0].secret.is_of(&SecretHashes::of(b"from the environment")));
}

#[test]
fn a_wrong_file_names_itself_and_the_token_and_shows_no_secret() {
    for (text, expected) in [
        ("[[tokens]]\nname = \"a\"\nsecret = \"hunter2\"\ntenants = [\"t\"]\naccess = [\"read\"]\n", "token 1, \"a\": its secret is neither sha256:<hex>"),
        ("[[tokens]]\nname = \"a\"\nsecret = \"sha256:hunter2\"\ntenants = [\"t\"]\naccess = [\"read\"]\n", "64 hexadecimal digits"),
        ("[[tokens]]\nname = \"a\"\nsecret = \"env:hunter\"\ntenants = [\"t\"]\naccess = [\"read\"]\n", "variable \"hunter\""),
        ("[[tokens]]\nname = \"a\"\nsecret = \"hunter2\naccess = 3\n", "line 3"),
        ("[[tokens]]\nname = \"a\"\npassword = \"hunter2\"\n", "unknown field `password`"),
        ("[[tokens]]\nname = \"a:b\"\n", "has a colon"),
        ("[[tokens]]\nsecret = \"env:SECRET\"\n", "token 1: it has no name"),
        ("[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\naccess = [\"read\"]\n", "it has no tenants"),
        ("[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\ntenants = []\naccess = [\"read\"]\n", "its list of tenants is empty"),
        (
            "[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\ntenants = [\"../b\"]\naccess = [\"read\"]\n",
            "tenant ID '../b' contains unsupported character '/'",
        ),
        ("[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\ntenants = [\"t\"]\naccess = [\"root\"]\n", "its access \"root\" is not read, write or admin"),
        ("[[tokens]]\nname = \"a\"\nsecret = \"env:SECRET\"\ntenants = [\"t\"]\n", "it has no access"),
    ] {
        let message = file(text).unwrap_err();
        assert!(message.contains(expected) && message.contains("/etc/tokens.toml"), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{text}: {message}");
    }
    let twice = |name: &str, secret: &str| format!("[[tokens]]\nname = \"{name}\"\nsecret = \"{secret}\"\ntenants = [\"t\"]\naccess = [\"read\"]\n");
    assert!(file(&(twice("a", "env:SECRET") + &twice("a", SHA256))).unwrap_err().contains("tokens 1 and 2 have the same name \"a\""));
    assert!(file(&(twice("a", SHA256) + &twice("b", SHA256))).unwrap_err().contains("\"a\" and \"b\" have the same secret"));
}

#[test]
fn settings_of_access() {
    let config = resolve(&[], "", &[]).unwrap().access;
    assert!(!config.needs_token() && config.open == ["/ready"]);
    let text = format!("[auth]\nopen = [\"/ready\", \"/metrics\"]\n[[auth.tokens]]\nname = \"ops\"\nsecret = \"{SHA256}\"\naccess = [\"admin\"]\n");
    let config = resolve(&[], &text, &[("TARN_AUTH_TOKENS_FILE", "/etc/t.toml")]).unwrap().access;
    assert!(config.needs_token() && config.open == ["/ready", "/metrics"] && config.tokens_file == Some(PathBuf::from("/etc/t.toml")));
    assert_eq!(config.tokens[0].tenants, Tenants::These(BTreeSet::new()));
    assert!(resolve(&[], "", &[("TARN_AUTH_OPEN", "-")]).unwrap().access.open.is_empty());
    let error = resolve(&[], "[auth]\nopen = [\"/config\"]\n", &[]).unwrap_err().to_string();
    assert!(error.contains("auth.open") && error.contains("'/config'"), "{error}");
}
