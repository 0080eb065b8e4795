//! `GetRandomPassword`: drawn from the world, so that the same run makes the same passwords.

use serde_json::{Value, json};

use super::rules;
use super::state::pick;
use crate::world::{Outcome, World};

const LABEL: &str = "secretsmanager/random-password";

pub(super) fn get_random_password(world: &mut World, input: &Value) -> Outcome {
    let flag = |member: &str| input.get(member).and_then(Value::as_bool);
    let excluded = input.get("ExcludeCharacters").and_then(Value::as_str).unwrap_or_default();
    let length = input.get("PasswordLength").and_then(Value::as_u64).unwrap_or(32);
    let each = flag("RequireEachIncludedType").unwrap_or(true);
    let kinds: Vec<Vec<char>> = [
        ("ExcludeLowercase", ('a'..='z').collect::<Vec<char>>()),
        ("ExcludeUppercase", ('A'..='Z').collect()),
        ("ExcludeNumbers", ('0'..='9').collect()),
        ("ExcludePunctuation", ('!'..='~').filter(char::is_ascii_punctuation).collect()),
        ("IncludeSpace", vec![' ']),
    ]
    .into_iter()
    .filter(|(member, _)| flag(member).unwrap_or(false) == (*member == "IncludeSpace"))
    .map(|(_, characters)| characters.into_iter().filter(|c| !excluded.contains(*c)).collect())
    .filter(|characters: &Vec<char>| !characters.is_empty())
    .collect();
    rules::password_has_characters(&kinds, length, each)?;
    let out = json!({ "RandomPassword": random(world, LABEL, &kinds, length, each) });
    Ok(out.into())
}

/// `length` characters of `kinds`, of each at least one if `each`.
fn random(world: &mut World, label: &str, kinds: &[Vec<char>], length: u64, each: bool) -> String {
    let all: Vec<char> = kinds.concat();
    let mut password: Vec<char> = (0..length).map(|_| all[pick(world, label, all.len())]).collect();
    if each {
        // One place for each kind: the places differ because they are drawn from what is left.
        let mut places: Vec<usize> = (0..password.len()).collect();
        for kind in kinds {
            let place = places.remove(pick(world, label, places.len()));
            password[place] = kind[pick(world, label, kind.len())];
        }
    }
    password.into_iter().collect()
}

/// A master user's password as RDS makes them: letters, digits and what its engines accept.
pub(super) fn master_password(world: &mut World, label: &str) -> String {
    let kinds: [Vec<char>; 4] = [
        ('a'..='z').collect(),
        ('A'..='Z').collect(),
        ('0'..='9').collect(),
        "!#$%&()*+-.<=>?[]^_{|}~".chars().collect(),
    ];
    random(world, label, &kinds, 32, true)
}
