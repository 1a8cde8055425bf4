//! Terraform's state, version 4: the value of an attribute or an output, by its address. What is sensitive is not given.

use serde_json::{Value, json};

/// The longest list that is made up.
const LONGEST: usize = 1000;

/// Why there is no value: a lower-case fragment.
pub type Missing = String;

/// One step of an address: a name, or what is in brackets.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Index(Value),
}

/// Whether a text has the form of an address: of an output, or of a resource and its attribute.
pub fn is_address(address: &str) -> bool {
    let Some(steps) = parse(address) else { return false };
    match steps.as_slice() {
        [Step::Name(output), Step::Name(_), ..] if output == "output" => true,
        steps => resource(steps).is_some_and(|(_, rest)| matches!(rest.first(), Some(Step::Name(_)))),
    }
}

/// Returns the value at an address, such as `output.vpc_id` or `module.net.aws_subnet.private["a"].id`.
///
/// # Errors
/// There is none, or it is sensitive.
pub fn find<'s>(state: &'s Value, address: &str) -> Result<&'s Value, Missing> {
    if state["version"] != 4 {
        return Err("it is no Terraform state of version 4".to_owned());
    }
    let steps = parse(address).ok_or_else(|| format!("{address} is no address"))?;
    if let [Step::Name(first), Step::Name(name), rest @ ..] = steps.as_slice()
        && first == "output"
    {
        let output = state["outputs"].get(name).ok_or_else(|| format!("it has no output {name}"))?;
        if output["sensitive"] == true {
            return Err(format!("the output {name} is sensitive, and a secret is not looked up"));
        }
        return descend(&output["value"], rest).ok_or_else(|| format!("the output {name} has no {address}"));
    }
    let (wanted, rest) = resource(&steps).ok_or_else(|| format!("{address} is no address"))?;
    let known = state["resources"].as_array().into_iter().flatten();
    let found = known.filter(|it| wanted.is(it)).flat_map(|it| it["instances"].as_array().into_iter().flatten());
    let found = found.into_iter().find(|instance| match &wanted.index {
        Some(index) => instance["index_key"] == *index,
        None => instance.get("index_key").is_none_or(Value::is_null),
    });
    let instance = found.ok_or_else(|| format!("it has no {}", wanted.address))?;
    let sensitive = instance["sensitive_attributes"].as_array().into_iter().flatten();
    if sensitive.into_iter().any(|path| covers(path, rest)) {
        return Err(format!("{address} is sensitive, and a secret is not looked up"));
    }
    let value = descend(&instance["attributes"], rest).filter(|value| !value.is_null());
    value.ok_or_else(|| format!("{} has no such attribute", wanted.address))
}

/// Puts a text at an address into a state, which may be nothing yet: for a state that is made up.
pub fn put(state: &mut Value, address: &str, text: &str) {
    let Some(steps) = parse(address) else { return };
    state["version"] = 4.into();
    if let [Step::Name(first), Step::Name(name), rest @ ..] = steps.as_slice()
        && first == "output"
    {
        return fill(&mut state["outputs"][name.as_str()]["value"], rest, text);
    }
    let Some((wanted, rest)) = resource(&steps) else { return };
    let known = array(&mut state["resources"]);
    let resource = position(
        known,
        |it| wanted.is(it),
        || {
            let Resource { module, mode, kind, name, .. } = &wanted;
            json!({ "module": module, "mode": mode, "type": kind, "name": name })
        },
    );
    let instances = array(&mut known[resource]["instances"]);
    let is_it = |it: &Value| it["index_key"] == *wanted.index.as_ref().unwrap_or(&Value::Null);
    let instance = position(instances, is_it, || json!({ "index_key": wanted.index }));
    fill(&mut instances[instance]["attributes"], rest, text);
}

fn array(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("it is one")
}

/// Returns the place of an item, which is made where it is not there.
fn position(items: &mut Vec<Value>, is_it: impl Fn(&Value) -> bool, make: impl FnOnce() -> Value) -> usize {
    items.iter().position(is_it).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    })
}

fn fill(value: &mut Value, steps: &[Step], text: &str) {
    match steps {
        [] => *value = text.into(),
        [Step::Index(Value::Number(index)), rest @ ..] => {
            let items = array(value);
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let Some(index) = index.filter(|index| *index < LONGEST) else { return };
            items.resize(items.len().max(index + 1), "".into());
            fill(&mut items[index], rest, text);
        }
        [Step::Name(name) | Step::Index(Value::String(name)), rest @ ..] => {
            if !value.is_object() {
                *value = json!({});
            }
            fill(&mut value[name.as_str()], rest, text);
        }
        [Step::Index(_), ..] => {}
    }
}

/// A resource of a state.
struct Resource {
    module: Option<String>,
    mode: &'static str,
    kind: String,
    name: String,
    index: Option<Value>,
    address: String,
}

impl Resource {
    fn is(&self, known: &Value) -> bool {
        known["module"].as_str() == self.module.as_deref()
            && known["mode"] == self.mode
            && known["type"] == *self.kind
            && known["name"] == *self.name
    }
}

/// Splits an address into the resource and what follows it.
fn resource(steps: &[Step]) -> Option<(Resource, &[Step])> {
    let (mut rest, mut module, mut mode) = (steps, Vec::new(), "managed");
    while let [Step::Name(word), Step::Name(name), more @ ..] = rest
        && word == "module"
    {
        let index =
            if let [index @ Step::Index(_), ..] = more { written(std::slice::from_ref(index)) } else { String::new() };
        rest = if index.is_empty() { more } else { &more[1..] };
        module.push(format!("module.{name}{index}"));
    }
    if let [Step::Name(word), more @ ..] = rest
        && word == "data"
    {
        (rest, mode) = (more, "data");
    }
    let [Step::Name(kind), Step::Name(name), more @ ..] = rest else { return None };
    let (index, more) = match more {
        [Step::Index(index), more @ ..] => (Some(index.clone()), more),
        more => (None, more),
    };
    let module = (!module.is_empty()).then(|| module.join("."));
    let address = written(&steps[..steps.len() - more.len()]);
    Some((Resource { module, mode, kind: kind.clone(), name: name.clone(), index, address }, more))
}

/// Whether a sensitive path of Terraform's is that of a value, of what is around it, or of what is in it.
fn covers(path: &Value, steps: &[Step]) -> bool {
    let sensitive = path.as_array().into_iter().flatten();
    sensitive.zip(steps).all(|(sensitive, step)| {
        let value = match sensitive["value"].get("value") {
            Some(inner) => inner,
            None => &sensitive["value"],
        };
        match step {
            Step::Name(name) => *value == **name,
            Step::Index(index) => value == index,
        }
    })
}

fn descend<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Index(Value::String(key)) => value.get(key),
        Step::Index(index) => value.get(usize::try_from(index.as_u64()?).ok()?),
    })
}

fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.push_str(&format!(".{name}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn parse(address: &str) -> Option<Vec<Step>> {
    let (mut steps, mut rest) = (Vec::new(), address);
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        let is_name = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        steps.push(Step::Name(name.to_owned()));
        rest = &rest[end..];
        while let Some(inner) = rest.strip_prefix('[') {
            let mut keys = serde_json::Deserializer::from_str(inner).into_iter::<Value>();
            let key = keys.next()?.ok().filter(|key| key.is_string() || key.is_u64())?;
            rest = inner.get(keys.byte_offset()..)?.strip_prefix(']')?;
            steps.push(Step::Index(key));
        }
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> Value {
        let instance = |key: Value, id: &str| json!({ "index_key": key, "attributes": { "id": id } });
        json!({
            "version": 4,
            "outputs": {
                "vpc": { "value": "vpc-1" },
                "subnets": { "value": ["a", "b"] },
                "password": { "value": "hunter2", "sensitive": true },
            },
            "resources": [
                { "mode": "managed", "type": "aws_db", "name": "main", "instances": [{
                    "attributes": { "host": "db", "port": 5432, "password": "hunter2", "tags": { "a.b": "t" }, "none": null },
                    "sensitive_attributes": [[{ "type": "get_attr", "value": "password" }]],
                }] },
                { "module": "module.net[\"eu\"].module.sub", "mode": "managed", "type": "aws_subnet", "name": "private",
                  "instances": [instance(json!(0), "s-0"), instance(json!(1), "s-1")] },
                { "mode": "data", "type": "aws_role", "name": "x", "instances": [instance(json!("k.k]"), "r")] },
            ],
        })
    }

    #[test]
    fn values_are_found_by_terraforms_addresses() {
        let state = state();
        for (address, wanted) in [
            ("output.vpc", json!("vpc-1")),
            ("output.subnets", json!(["a", "b"])),
            ("output.subnets[1]", json!("b")),
            ("aws_db.main.host", json!("db")),
            ("aws_db.main.port", json!(5432)),
            ("aws_db.main.tags[\"a.b\"]", json!("t")),
            ("module.net[\"eu\"].module.sub.aws_subnet.private[1].id", json!("s-1")),
            ("data.aws_role.x[\"k.k]\"].id", json!("r")),
        ] {
            assert_eq!((find(&state, address), is_address(address)), (Ok(&wanted), true), "{address}");
        }
    }

    #[test]
    fn what_is_put_into_a_state_is_found_there() {
        let addresses = [
            "output.vpc",
            "output.nets[2]",
            "output.zones[\"a.b\"].id",
            "aws_db.main.host",
            "aws_db.main.port",
            "aws_db.many[1].host",
            "aws_db.many[0].host",
            "module.net[\"eu\"].module.sub.aws_subnet.private[\"k\"].ids[1]",
            "data.aws_db.main.host",
        ];
        let mut state = Value::Null;
        addresses.iter().for_each(|address| put(&mut state, address, address));
        for address in addresses {
            assert_eq!(find(&state, address), Ok(&json!(address)));
        }
        assert_eq!(find(&state, "output.nets[0]"), Ok(&json!("")));
        put(&mut state, "no address", "x");
    }

    #[test]
    fn what_is_missing_or_sensitive_is_no_value() {
        let state = state();
        for (address, wanted) in [
            ("output.nothing", "no output nothing"),
            ("output.password", "is sensitive"),
            ("aws_db.main.password", "is sensitive"),
            ("aws_db.main.none", "no such attribute"),
            ("aws_db.main.gone", "no such attribute"),
            ("aws_db.other.host", "it has no aws_db.other"),
            ("aws_subnet.private[0].id", "it has no aws_subnet.private[0]"),
            ("module.net[\"eu\"].module.sub.aws_subnet.private.id", "it has no module.net"),
        ] {
            let missing = find(&state, address).expect_err(address);
            assert!(missing.contains(wanted) && !missing.contains("hunter2"), "{address}: {missing}");
        }
        for address in
            ["", "output", "aws_db", "aws_db.main", "a..b", "a.b[", "a.b[x].c", "a.b[\"x\"]c", "a.b[0]", "a b.c.d"]
        {
            assert!(!is_address(address), "{address}");
        }
        assert!(find(&json!({ "version": 3 }), "output.vpc").is_err());
    }
}
