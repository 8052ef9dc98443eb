#!/bin/bash
# Remove cache entries and node images that the scripts as they are now do not use: cache-clean.sh
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

current=("$rootfs" "$tools" "$kubernetes" "$clients" "$suite" "$cluster_images" "$test_images" "$node")
for entry in "$SIGNET_CACHE"/*-????????????; do
	case " ${current[*]} " in
	*" $entry "*) ;;
	*) [[ ! -d $entry ]] || { say "removing $entry" && rm -r "$entry"; } ;;
	esac
done

docker image ls --format '{{.Repository}}:{{.Tag}}' signet.test/node | while read -r image; do
	[[ $image == "$node_image" ]] || docker image rm "$image" || say "$image is in use"
done
