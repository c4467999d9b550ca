#!/bin/sh
# Takes the environment variables of the official image, as far as docker-compose.yml sets them.
set -eu
[ "$MODE" = standalone ] && [ "$PREFER_HOST_MODE" = hostname ]
conf=/home/nacos/conf
mkdir -p "$conf"
cat >"$conf/application.properties" <<CONF
nacos.deployment.type=merged
nacos.server.main.port=8848
nacos.console.port=8080
spring.sql.init.platform=derby
nacos.core.auth.system.type=nacos
nacos.core.auth.enabled=$NACOS_AUTH_ENABLE
nacos.core.auth.admin.enabled=true
nacos.core.auth.console.enabled=true
nacos.core.auth.caching.enabled=false
nacos.core.auth.server.identity.key=$NACOS_AUTH_IDENTITY_KEY
nacos.core.auth.server.identity.value=$NACOS_AUTH_IDENTITY_VALUE
nacos.core.auth.plugin.nacos.token.secret.key=$NACOS_AUTH_TOKEN
CONF
lib=/home/nacos/jars/lib
# hessian 4 before hessian 3: devtools/nacos/build.py says why.
exec java "-Xms$JVM_XMS" "-Xmx$JVM_XMX" "-Xmn$JVM_XMN" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dnacos.standalone=true -Dnacos.preferHostnameOverIp=true \
    -Dnacos.home=/home/nacos -Duser.home=/home/nacos \
    "-Dspring.config.additional-location=file:$conf/" \
    -cp "/home/nacos/jars/launcher.jar:$lib/hessian-4.0.63.jar:$lib/*" Launcher
