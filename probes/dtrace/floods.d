#!/usr/sbin/dtrace -s
/*
 * floods: what is broadcast, and how many copies does it make?
 *
 * USAGE
 *   overlay-trace --tracer dtrace floods [interval [count]] [--vni N]
 *   dtrace -Z -p PID -s floods.d [interval [count [vni]]]
 *
 * DESCRIPTION
 *   Asks in D what floods.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each replicated frame, and for each
 *   frame that stays on this host.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing replicated frames... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::flood
/($3 == 0 || arg1 == $3)/
{
	@floods[arg1, copyinstr(arg4)] = count();
	@copies_to_vnics[arg1, copyinstr(arg4)] = sum(arg2);
	@copies_to_underlay[arg1, copyinstr(arg4)] = sum(arg3);
}

overlay$target:::local
/($3 == 0 || arg1 == $3)/
{
	@local_frames[arg1, copyinstr(arg4)] = count();
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
	printa("floods %u %s: %@u\n", @floods);
	printa("copies_to_vnics %u %s: %@u\n", @copies_to_vnics);
	printa("copies_to_underlay %u %s: %@u\n", @copies_to_underlay);
	printa("local_frames %u %s: %@u\n", @local_frames);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("floods %u %s: %@u\n", @floods);
	printa("copies_to_vnics %u %s: %@u\n", @copies_to_vnics);
	printa("copies_to_underlay %u %s: %@u\n", @copies_to_underlay);
	printa("local_frames %u %s: %@u\n", @local_frames);
}
