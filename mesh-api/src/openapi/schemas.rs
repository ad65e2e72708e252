use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value};

/// Schemas of the types that the document names, each once.
pub(super) struct Schemas {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = SchemaSettings::openapi3();
        Self {
            bodies: settings.clone().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// Returns the schema of the body of a request.
    pub(super) fn body<T: JsonSchema>(&mut self) -> Value {
        self.bodies.subschema_for::<T>().to_value()
    }

    /// Returns the schema of an answer.
    pub(super) fn answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }

    /// Returns the schema of a request with all of its parts in place.
    pub(super) fn request<T: JsonSchema>() -> Value {
        let mut settings = SchemaSettings::openapi3();
        settings.inline_subschemas = true;
        settings.contract = Contract::Deserialize;
        settings
            .into_generator()
            .into_root_schema_for::<T>()
            .to_value()
    }

    /// Returns all schemas that the others refer to, by name.
    ///
    /// A type that is a body and a part of an answer has one schema: that of the answer, which
    /// names every field.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut schemas = self.bodies.take_definitions(true);
        schemas.extend(self.answers.take_definitions(true));
        for schema in schemas.values_mut() {
            write_plainly(schema);
        }
        schemas
    }
}

/// Takes the brackets of rustdoc's links out of all descriptions.
pub(super) fn write_plainly(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`");
                    }
                    member => write_plainly(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_plainly),
        _ => {}
    }
}
