"""Groups of Java libraries whose archives do not say them: Ant and Gradle leave no ``pom.properties``.

Two kinds of evidence: where a build tool keeps the archive, and a short list of widely used libraries that
live under one group on Maven Central, or moved from one to another at a major version. No other is guessed:
a wrong group would be matched with the wrong advisories. It must not know about archives.
"""

from __future__ import annotations

import re
from itertools import takewhile

_REPOSITORIES = ("repository", "maven-repo")
_WORD = re.compile(r"[\w-]+", re.ASCII)
_GRADLE = re.compile(r"/files-2\.1/([\w.-]+)/([\w.-]+)/([^/]+)/[0-9a-f]+/[^/]+$", re.ASCII)

_BY_GROUP = {
    "com.beust": "jcommander",
    "com.google.inject": "guice",
    "com.google.inject.extensions": """guice-assistedinject guice-grapher guice-jmx guice-jndi guice-multibindings
        guice-persist guice-servlet guice-spring guice-struts2 guice-throwingproviders""",
    "com.h2database": "h2",
    "com.mysql": "mysql-connector-j",
    "com.squareup.okio": "okio okio-jvm",
    "io.projectreactor": "reactor-core",
    "io.projectreactor.netty": "reactor-netty-core reactor-netty-http",
    "mysql": "mysql-connector-java",
    "org.apache.kafka": "kafka-clients kafka-streams connect-api connect-runtime",
    "org.apache.solr": "solr-core solr-solrj",
    "org.apache.tomcat": """tomcat-annotations-api tomcat-api tomcat-catalina tomcat-catalina-ha tomcat-coyote
        tomcat-dbcp tomcat-el-api tomcat-jasper tomcat-jasper-el tomcat-jaspic-api tomcat-jdbc tomcat-jni
        tomcat-jsp-api tomcat-juli tomcat-servlet-api tomcat-tribes tomcat-util tomcat-util-scan
        tomcat-websocket tomcat-websocket-api""",
    "org.elasticsearch": "elasticsearch",
    "org.freemarker": "freemarker",
    "org.jdom": "jdom2",
    "org.jetbrains.kotlin": "kotlin-stdlib kotlin-stdlib-common kotlin-stdlib-jdk7 kotlin-stdlib-jdk8 kotlin-reflect",
    "org.mongodb": """bson mongo-java-driver mongodb-driver mongodb-driver-core mongodb-driver-reactivestreams
        mongodb-driver-sync""",
    "org.mozilla": "rhino",
    "org.quartz-scheduler": "quartz",
    "org.springframework": """spring-aop spring-aspects spring-beans spring-context spring-context-indexer
        spring-context-support spring-core spring-core-test spring-expression spring-instrument spring-jcl
        spring-jdbc spring-jms spring-messaging spring-orm spring-oxm spring-r2dbc spring-test spring-tx
        spring-web spring-webflux spring-webmvc spring-webmvc-portlet spring-websocket""",
    "org.springframework.boot": "spring-boot",
    "org.springframework.security": """spring-security-acl spring-security-aspects spring-security-cas
        spring-security-config spring-security-core spring-security-crypto spring-security-data
        spring-security-ldap spring-security-messaging spring-security-oauth2-client
        spring-security-oauth2-core spring-security-oauth2-jose spring-security-oauth2-resource-server
        spring-security-openid spring-security-remoting spring-security-rsocket
        spring-security-saml2-service-provider spring-security-taglibs spring-security-test
        spring-security-web""",
    "xalan": "xalan serializer",
    "xerces": "xercesImpl",
}
# Apache Commons' oldest components are groups of their own, whatever their bundles are called.
_COMMONS = """beanutils chain cli codec collections configuration daemon dbcp dbutils digester discovery el
    fileupload httpclient io jelly jexl jxpath lang launcher logging modeler net pool validator"""
_BY_ARTIFACT = {
    artifact: group for group, artifacts in _BY_GROUP.items() for artifact in artifacts.split()
} | {f"commons-{name}": f"commons-{name}" for name in _COMMONS.split()}
# From that major version on they are in the second group.
_MOVED = {
    artifact: move
    for artifacts, move in {
        "asm asm-all asm-analysis asm-commons asm-tree asm-util asm-xml": (4, "asm", "org.ow2.asm"),
        "dom4j": (2, "dom4j", "org.dom4j"),
        "groovy groovy-all groovy-json groovy-sql groovy-templates groovy-xml": (
            4,
            "org.codehaus.groovy",
            "org.apache.groovy",
        ),
        "okhttp okhttp-urlconnection": (3, "com.squareup.okhttp", "com.squareup.okhttp3"),
        "retrofit": (2, "com.squareup.retrofit", "com.squareup.retrofit2"),
    }.items()
    for artifact in artifacts.split()
}
_MAJOR = re.compile(r"\d{1,9}", re.ASCII)
_FAMILIES = (
    ("spring-boot-", "org.springframework.boot"),
    ("tomcat-embed-", "org.apache.tomcat.embed"),
    ("akka-", "com.typesafe.akka"),
    ("grpc-", "io.grpc"),
    ("lucene-", "org.apache.lucene"),
    ("micrometer-", "io.micrometer"),
    *(
        (f"{name}-jdk", "org.bouncycastle")
        for name in ("bcprov", "bcpkix", "bcpg", "bcmail", "bctls", "bcutil")
    ),
)


def of_place(path: str) -> tuple[str, str, str] | None:
    """Group, artifact and version that a Maven repository or Gradle's cache keeps an archive under.

    The one keeps GROUP/AS/FOLDERS/ARTIFACT/VERSION/ARTIFACT-VERSION….jar ("Repository Layout - Final"), the
    other GROUP/ARTIFACT/VERSION/HASH/….jar.
    """
    *folders, artifact, version, name = ("", "", *path.split("/"))
    if version and name.startswith((f"{artifact}-{version}.", f"{artifact}-{version}-")):
        words = list(takewhile(_WORD.fullmatch, reversed(folders)))[::-1]
        for place, word in enumerate(words[:-1]):
            if word in _REPOSITORIES:
                return ".".join(words[place + 1 :]), artifact, version
    if match := _GRADLE.search(path):
        return match[1], match[2], match[3]
    return None


def known(artifact: str, version: str) -> str:
    """The group that this version of a widely used artifact lives under; empty for any other."""
    if group := _BY_ARTIFACT.get(artifact):
        return group
    if artifact in _MOVED and (major := _MAJOR.match(version)):
        since, before, after = _MOVED[artifact]
        return after if int(major[0]) >= since else before
    return next((group for prefix, group in _FAMILIES if artifact.startswith(prefix)), "")
