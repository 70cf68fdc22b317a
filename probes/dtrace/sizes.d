#!/usr/sbin/dtrace -s
/*
 * sizes: how big do packets get, and what does not fit?
 *
 * USAGE
 *   overlay-trace --tracer dtrace sizes [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s sizes.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what sizes.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each frame that leaves.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing sizes of datagrams... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::tx-send
/($3 == 0 || arg1 == $3) && $$4 == "" && arg3 > 0/
{
	@datagram_bytes[arg1] = lquantize(arg4 / arg3, 0, 9200, 200);
	@largest[arg1, copyinstr(arg5)] = max(arg4 / arg3);
	@datagrams[arg1, copyinstr(arg5)] = sum(arg3);
}

overlay$target:::too-big
/($3 == 0 || arg1 == $3) && ($$4 == "" || copyinstr(arg5) == $$4)/
{
	@too_big[arg4 == 0 ? "too_big_not_told" : "too_big_told", arg1, copyinstr(arg5), arg3] = count();
	@too_big_largest[arg1, copyinstr(arg5)] = max(arg2);
}

overlay$target:::device-mtu
/($3 == 0 || arg1 == $3) && $$4 == ""/
{
	@mtu_changes[copyinstr(arg4), arg2, arg3] = count();
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("largest %u %s: %@u\n", @largest);
	printa("datagrams %u %s: %@u\n", @datagrams);
	printa("%s %u %s %u: %@u\n", @too_big);
	printa("too_big_largest %u %s: %@u\n", @too_big_largest);
	printa("mtu_changes %s %u > %u: %@u\n", @mtu_changes);
	printa("datagram_bytes %u%@d\n", @datagram_bytes);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("largest %u %s: %@u\n", @largest);
	printa("datagrams %u %s: %@u\n", @datagrams);
	printa("%s %u %s %u: %@u\n", @too_big);
	printa("too_big_largest %u %s: %@u\n", @too_big_largest);
	printa("mtu_changes %s %u > %u: %@u\n", @mtu_changes);
	printa("datagram_bytes %u%@d\n", @datagram_bytes);
}
