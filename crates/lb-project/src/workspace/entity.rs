//! The table of entities: what each is called, has, is checked for, leads to, and where it is kept. Everything else in
//! this module works for all of them alike.

use serde_json::{Map, Value, json};

use Check::{Format, Present, Unique};
use Stored::{As, Not, Same};
use Type::{Any, Flag, Number, Text};

/// The kinds of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Facet,
    FacetSetting,
    ComponentConfig,
    PackageDefinition,
    DataSourceDefinition,
    ModelConfig,
    ModelDefinition,
    ModelProperty,
    ModelRelation,
    ModelMethod,
    ModelAccessControl,
    PropertyValidation,
    ViewDefinition,
}

/// What a value of a declared property is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Text,
    Flag,
    Number,
}

/// How a property stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Under its own name.
    Same,
    /// Under another name.
    As(&'static str),
    /// Not at all: the place says it.
    Not,
}

/// A declared property. Others are kept as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) stored: Stored,
}

/// What is checked before a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It is there, and no empty text.
    Present(&'static str),
    /// It is a word of letters, digits, `_` and `-`.
    Format(&'static str),
    /// No other entity of the kind has this name: in the same facet, or in any.
    Unique(Scope),
}

/// Where a name is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Facet,
    Workspace,
}

/// What an id is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// `name`.
    Name,
    /// `facetName.name`.
    InFacet,
    /// `modelId.name`.
    InModel,
    /// `modelId.index`.
    AtIndex,
}

/// How related entities are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Those whose property of this name is our id.
    Many(&'static str),
    /// The one whose id our property of this name is.
    One(&'static str),
}

/// A relation between entities.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) name: &'static str,
    pub(crate) target: Kind,
    pub(crate) link: Link,
}

/// Files of a facet that hold entities by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FacetFile {
    Config,
    Components,
    DataSources,
    ModelConfig,
}

/// Where entities of a kind are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// A directory; `_meta` of its `model-config.json` is a property.
    Directory,
    /// `package.json` as a whole.
    Package,
    /// A member of a facet's file, its value the entity.
    Member(FacetFile),
    /// A member of a facet's file, its value the property `value`.
    Setting(FacetFile),
    /// A file of its own, without its parts.
    Model,
    /// A member of this object in a model's file.
    Part(&'static str),
    /// An item of this list in a model's file.
    Item(&'static str),
    /// Nowhere: the kind exists so that a relation leads to it, and has no entities.
    Nowhere,
}

/// All that is known of a kind.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// As errors have it.
    pub(crate) name: &'static str,
    /// As paths have it.
    pub(crate) plural: &'static str,
    pub(crate) identity: Identity,
    pub(crate) home: Home,
    /// In the order in which they are answered and stored.
    pub(crate) properties: &'static [Property],
    pub(crate) checks: &'static [Check],
    pub(crate) relations: &'static [Relation],
}

const fn property(name: &'static str, kind: Type, stored: Stored) -> Property {
    Property { name, kind, stored }
}

const fn many(name: &'static str, target: Kind, key: &'static str) -> Relation {
    Relation { name, target, link: Link::Many(key) }
}

const fn one(name: &'static str, target: Kind, key: &'static str) -> Relation {
    Relation { name, target, link: Link::One(key) }
}

/// What a model's file has beside the model itself, in the order in which the package writes it.
pub(crate) const PARTS: [(&str, PartShape); 5] = [
    ("properties", PartShape::Map),
    ("validations", PartShape::List),
    ("relations", PartShape::Map),
    ("acls", PartShape::List),
    ("methods", PartShape::Map),
];

/// What the parts of a model stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartShape {
    Map,
    List,
}

/// Where keys that are not declared stand.
const OTHER_RANK: usize = 100;

const IN_FACET: [Property; 2] = [property("id", Text, Not), property("facetName", Text, Not)];
const FACET: Relation = one("facet", Kind::Facet, "facetName");
const MODEL: Relation = one("model", Kind::ModelDefinition, "modelId");

/// Every kind, in the order of [`Kind`].
pub(crate) static SCHEMAS: [Schema; 13] = [
    Schema {
        kind: Kind::Facet,
        name: "Facet",
        plural: "Facets",
        identity: Identity::Name,
        home: Home::Directory,
        properties: &[property("name", Text, Not), property("modelsMetadata", Any, Not)],
        checks: &[Present("name"), Format("name")],
        relations: &[
            many("models", Kind::ModelDefinition, "facetName"),
            many("datasources", Kind::DataSourceDefinition, "facetName"),
            many("modelConfigs", Kind::ModelConfig, "facetName"),
            many("settings", Kind::FacetSetting, "facetName"),
        ],
    },
    Schema {
        kind: Kind::FacetSetting,
        name: "FacetSetting",
        plural: "FacetSettings",
        identity: Identity::InFacet,
        home: Home::Setting(FacetFile::Config),
        properties: &[
            IN_FACET[0],
            IN_FACET[1],
            property("name", Text, Not),
            property("configFile", Text, Not),
        ],
        checks: &[Present("name"), Present("facetName")],
        relations: &[FACET],
    },
    Schema {
        kind: Kind::ComponentConfig,
        name: "ComponentConfig",
        plural: "ComponentConfigs",
        identity: Identity::InFacet,
        home: Home::Setting(FacetFile::Components),
        properties: &[
            IN_FACET[0],
            IN_FACET[1],
            property("name", Text, Not),
            property("configFile", Text, Not),
        ],
        checks: &[Present("name"), Present("facetName"), Unique(Scope::Facet)],
        relations: &[FACET],
    },
    Schema {
        kind: Kind::PackageDefinition,
        name: "PackageDefinition",
        plural: "PackageDefinitions",
        identity: Identity::Name,
        home: Home::Package,
        properties: &[property("id", Text, Not), property("name", Text, Same)],
        checks: &[Present("name"), Format("name")],
        relations: &[],
    },
    Schema {
        kind: Kind::DataSourceDefinition,
        name: "DataSourceDefinition",
        plural: "DataSourceDefinitions",
        identity: Identity::InFacet,
        home: Home::Member(FacetFile::DataSources),
        properties: &[
            property("id", Text, Not),
            property("host", Text, Same),
            property("port", Number, Same),
            property("url", Text, Same),
            property("database", Text, Same),
            property("username", Text, Same),
            property("password", Text, Same),
            property("facetName", Text, Not),
            property("name", Text, Same),
            property("configFile", Text, Not),
        ],
        checks: &[
            Present("facetName"),
            Present("name"),
            Present("name"),
            Present("connector"),
            Unique(Scope::Facet),
        ],
        relations: &[many("models", Kind::ModelConfig, "dataSource"), FACET],
    },
    Schema {
        kind: Kind::ModelConfig,
        name: "ModelConfig",
        plural: "ModelConfigs",
        identity: Identity::InFacet,
        home: Home::Member(FacetFile::ModelConfig),
        properties: &[
            IN_FACET[0],
            IN_FACET[1],
            property("name", Text, Not),
            property("dataSource", Text, Same),
            property("public", Flag, Same),
        ],
        checks: &[Present("facetName"), Present("facetName"), Present("name"), Unique(Scope::Facet)],
        relations: &[
            FACET,
            one("dataSourceRef", Kind::DataSourceDefinition, "dataSource"),
            one("definition", Kind::ModelDefinition, "name"),
        ],
    },
    Schema {
        kind: Kind::ModelDefinition,
        name: "ModelDefinition",
        plural: "ModelDefinitions",
        identity: Identity::InFacet,
        home: Home::Model,
        properties: &[
            IN_FACET[0],
            IN_FACET[1],
            property("readonly", Flag, Not),
            property("name", Text, Same),
            property("description", Text, Same),
            property("plural", Text, Same),
            property("base", Text, Same),
            property("strict", Flag, Same),
            property("public", Flag, Same),
            property("idInjection", Flag, Same),
            property("scopes", Any, Same),
            property("indexes", Any, Same),
            property("options", Any, Same),
            property("configFile", Text, Not),
        ],
        checks: &[
            Present("facetName"),
            Present("name"),
            Present("name"),
            Format("name"),
            Unique(Scope::Workspace),
        ],
        relations: &[
            FACET,
            many("properties", Kind::ModelProperty, "modelId"),
            many("validations", Kind::PropertyValidation, "modelId"),
            many("relations", Kind::ModelRelation, "modelId"),
            many("accessControls", Kind::ModelAccessControl, "modelId"),
            many("methods", Kind::ModelMethod, "modelId"),
            many("views", Kind::ViewDefinition, "modelId"),
        ],
    },
    Schema {
        kind: Kind::ModelProperty,
        name: "ModelProperty",
        plural: "ModelProperties",
        identity: Identity::InModel,
        home: Home::Part("properties"),
        properties: &[
            property("id", Text, Not),
            property("modelId", Text, Not),
            property("facetName", Text, Not),
            property("name", Text, Not),
            property("type", Any, Same),
            property("isId", Flag, As("id")),
            property("generated", Flag, Same),
            property("required", Flag, Same),
            property("index", Flag, Same),
            property("description", Text, Same),
        ],
        checks: &[Present("modelId"), Present("facetName"), Format("name")],
        relations: &[MODEL],
    },
    Schema {
        kind: Kind::ModelRelation,
        name: "ModelRelation",
        plural: "ModelRelations",
        identity: Identity::InModel,
        home: Home::Part("relations"),
        properties: &[
            property("id", Text, Not),
            property("modelId", Text, Not),
            property("facetName", Text, Not),
            property("type", Text, Same),
            property("model", Text, Same),
            property("as", Text, Same),
            property("foreignKey", Text, Same),
            property("name", Text, Not),
        ],
        checks: &[Present("modelId"), Present("facetName"), Present("type"), Present("name")],
        relations: &[MODEL],
    },
    Schema {
        kind: Kind::ModelMethod,
        name: "ModelMethod",
        plural: "ModelMethods",
        identity: Identity::InModel,
        home: Home::Part("methods"),
        properties: &[
            property("id", Text, Not),
            property("modelId", Text, Not),
            property("facetName", Text, Not),
            property("aliases", Any, Same),
            property("isStatic", Flag, Not),
            property("accepts", Any, Same),
            property("returns", Any, Same),
            property("description", Text, Same),
            property("http", Any, Same),
            property("shared", Flag, Same),
            property("name", Text, Not),
        ],
        checks: &[Present("modelId"), Present("facetName"), Present("name")],
        relations: &[],
    },
    Schema {
        kind: Kind::ModelAccessControl,
        name: "ModelAccessControl",
        plural: "ModelAccessControls",
        identity: Identity::AtIndex,
        home: Home::Item("acls"),
        properties: &[
            property("id", Text, Not),
            property("modelId", Text, Not),
            property("facetName", Text, Not),
            property("accessType", Text, Same),
            property("principalType", Text, Same),
            property("principalId", Text, Same),
            property("permission", Text, Same),
            property("property", Text, Same),
            property("index", Number, Not),
        ],
        checks: &[Present("modelId"), Present("facetName"), Present("permission")],
        relations: &[MODEL],
    },
    Schema {
        kind: Kind::PropertyValidation,
        name: "PropertyValidation",
        plural: "PropertyValidations",
        identity: Identity::InModel,
        home: Home::Nowhere,
        properties: &[],
        checks: &[],
        relations: &[],
    },
    Schema {
        kind: Kind::ViewDefinition,
        name: "ViewDefinition",
        plural: "ViewDefinitions",
        identity: Identity::InModel,
        home: Home::Nowhere,
        properties: &[],
        checks: &[],
        relations: &[],
    },
];

impl Kind {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        SCHEMAS.iter().map(|schema| schema.kind)
    }

    /// What is known of it.
    pub(crate) fn schema(self) -> &'static Schema {
        &SCHEMAS[self as usize]
    }

    /// Whether its entities are parts of a model.
    pub(crate) fn is_part(self) -> bool {
        matches!(self.schema().identity, Identity::InModel | Identity::AtIndex)
    }
}

impl Schema {
    /// The schema whose plural this is, without regard to case.
    pub(crate) fn of_plural(plural: &str) -> Option<&'static Self> {
        SCHEMAS.iter().find(|schema| schema.plural.eq_ignore_ascii_case(plural))
    }

    /// The declared property of this name.
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// The relation of this name.
    pub(crate) fn relation(&self, name: &str) -> Option<&'static Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Whether a key of an entity's data is never kept in it: parts and related entities are entities of their own.
    pub(crate) fn leaves_out(&self, key: &str) -> bool {
        let related = self.relation(key).is_some() && self.property(key).is_none();
        related || self.home == Home::Model && is_part_key(key)
    }

    /// What an entity that does not say otherwise has, as it is answered and newly stored.
    pub(crate) fn defaults(&self) -> Vec<(&'static str, Value)> {
        match self.kind {
            Kind::ModelDefinition => {
                vec![("idInjection", json!(true)), ("options", json!({ "validateUpsert": true }))]
            }
            Kind::Facet
            | Kind::FacetSetting
            | Kind::ComponentConfig
            | Kind::PackageDefinition
            | Kind::DataSourceDefinition
            | Kind::ModelConfig
            | Kind::ModelProperty
            | Kind::ModelRelation
            | Kind::ModelMethod
            | Kind::ModelAccessControl
            | Kind::PropertyValidation
            | Kind::ViewDefinition => Vec::new(),
        }
    }

    /// The id that data of this kind makes, `None` where something is missing.
    pub(crate) fn id(&self, data: &Map<String, Value>) -> Option<String> {
        let text = |key| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let under = |parent, key| Some(format!("{}.{}", text(parent)?, text(key)?));
        match self.identity {
            Identity::Name => text("name").map(str::to_owned),
            Identity::InFacet => under("facetName", "name"),
            Identity::InModel => under("modelId", "name"),
            Identity::AtIndex => Some(format!("{}.{}", text("modelId")?, data.get("index")?)),
        }
    }

    /// Under which key a property stands in its file, `None` where the place says it.
    pub(crate) fn stored_as<'n>(&self, name: &'n str) -> Option<&'n str> {
        match self.property(name).map(|property| property.stored) {
            None | Some(Same) => Some(name),
            Some(As(stored)) => Some(stored),
            Some(Not) => None,
        }
    }

    /// Where a key stands among others in its file: declared ones first, a model's parts last.
    pub(crate) fn rank(&self, key: &str) -> usize {
        let declared = self.properties.iter().position(|property| match property.stored {
            Same => property.name == key,
            As(name) => name == key,
            Not => false,
        });
        let part = || PARTS.iter().position(|(name, _)| *name == key).filter(|_| self.home == Home::Model);
        declared.unwrap_or_else(|| part().map_or(OTHER_RANK, |part| OTHER_RANK + 1 + part))
    }
}

/// Whether this is the key of a model's parts in its file.
pub(crate) fn is_part_key(key: &str) -> bool {
    PARTS.iter().any(|(name, _)| *name == key)
}
